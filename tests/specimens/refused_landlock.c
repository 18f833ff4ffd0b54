/* specimen: Landlock ruleset | group: objects | needs: refusal as a Landlock ruleset */
#include "files.h"

int main(void) {
    uint64_t handled = 1;
    int fd = (int)syscall(444, &handled, sizeof handled, 0);
    if (fd < 0) specimen_skip("no Landlock: %s", strerror(errno));

    specimen_ready();
    specimen_wait();

    specimen_equal(files_is_open(fd), 1);
    return specimen_pass();
}
