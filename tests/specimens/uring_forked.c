/* specimen: io_uring shared by parent and child, and by two descriptors | group: objects | needs: root, io_uring with its structures in BTF */
#include "uring.h"

#include <sys/wait.h>

int main(void) {
    struct uring ring = uring_make(8, 0, IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
    specimen_equal(dup2(ring.fd, 60), 60);
    uring_spend(&ring, 13);
    int down[2], up[2];
    specimen_equal(pipe(down), 0);
    specimen_equal(pipe(up), 0);
    pid_t child = fork();
    specimen_check(child >= 0);
    if (!child) {
        char byte;
        while (read(down[0], &byte, 1) != 1) continue;
        uring_next(&ring, 100);
        specimen_equal(uring_submit(&ring, 1), 1);
        specimen_equal(write(up[1], &byte, 1), 1);
        _exit(0);
    }

    specimen_ready();
    specimen_wait();

    specimen_equal(write(down[1], "x", 1), 1);
    char byte;
    specimen_equal(read(up[0], &byte, 1), 1);
    ring.submitted++;
    uring_expect(&ring, 100, 0);
    close(ring.fd);
    ring.fd = 60;
    uring_spend(&ring, 20);
    int status;
    specimen_equal(waitpid(child, &status, 0), child);
    specimen_equal(status, 0);
    return specimen_pass();
}
