/* specimen: asynchronous input and output under way (io_submit), that does not end by itself | group: objects | needs: root, bpf, refusal as asynchronous I/O is under way (io_submit): 5 requests */
#include "aio.h"

int main(void) {
    aio_context_t context = aio_setup(16);
    int fd = eventfd(0, 0);
    aio_done(context, 3, 20);
    specimen_equal(aio_poll(context, fd, 5, 9), 5);

    specimen_ready();
    specimen_wait();

    eventfd_write(fd, 1);
    aio_expect(context, 3, 20);
    for (int i = 0; i < 5; i++) aio_expect(context, 1, 9);
    aio_expect_none(context);
    return specimen_pass();
}
