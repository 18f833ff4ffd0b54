/* specimen: process with a ring of asynchronous input and output, and its child, which has memory in common with it but no ring, and then its own at the same address | group: objects | needs: root, bpf */
#include "aio.h"

#include <sys/wait.h>

int main(void) {
    unsigned char *common = memory_anonymous(64 * 4096, PROT_READ | PROT_WRITE);
    memory_fill(common, 64 * 4096, 11);
    aio_context_t context = aio_setup(40);
    size_t size = (32 + 32 * (size_t)aio_ring(context)->nr + 4095) / 4096 * 4096;
    aio_done(context, 12, 100);
    aio_expect(context, 5, 100);
    int start[2], done[2];
    specimen_equal(pipe(start), 0);
    specimen_equal(pipe(done), 0);

    pid_t child = fork();
    if (!child) {
        char byte;
        aio_context_t own = aio_setup(40);
        if (own != context)
            specimen_equal(mremap((void *)own, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, context), context);
        aio_done(context, 3, 700);
        specimen_equal(write(done[1], "x", 1), 1);
        specimen_equal(read(start[0], &byte, 1), 1);
        aio_expect(context, 3, 700);
        aio_expect_none(context);
        specimen_equal(memory_difference(common, 64 * 4096, 11), -1);
        specimen_check(aio_room(context) >= 40);
        _exit(0);
    }
    char byte;
    specimen_equal(read(done[0], &byte, 1), 1);

    specimen_ready();
    specimen_wait();

    aio_expect(context, 7, 105);
    aio_expect_none(context);
    specimen_equal(memory_difference(common, 64 * 4096, 11), -1);
    specimen_equal(write(start[1], "x", 1), 1);
    int status;
    specimen_equal(waitpid(child, &status, 0), child);
    specimen_equal(status, 0);
    specimen_check(aio_room(context) >= 40);
    return specimen_pass();
}
