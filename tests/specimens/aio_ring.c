/* specimen: ring of asynchronous input and output (io_setup) | group: objects | needs: refusal as an AIO ring */
#include "files.h"

#include <linux/aio_abi.h>

int main(void) {
    aio_context_t context = 0;
    if (syscall(SYS_io_setup, 16, &context)) specimen_skip("no io_setup: %s", strerror(errno));

    specimen_ready();
    specimen_wait();

    struct io_event event;
    specimen_equal(syscall(SYS_io_getevents, context, 0, 1, &event, NULL), 0);
    return specimen_pass();
}
