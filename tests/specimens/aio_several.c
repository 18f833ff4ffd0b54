/* specimen: several rings of asynchronous input and output, of different sizes, the first of them destroyed, one moved, one read-only | group: objects | needs: root, bpf */
#include "aio.h"

int main(void) {
    enum { RINGS = 6 };
    aio_context_t context[RINGS];
    unsigned nr[RINGS];
    for (int i = 0; i < RINGS; i++) context[i] = aio_setup(1 << (2 * i)); /* 1 … 1024 */
    specimen_equal(syscall(SYS_io_destroy, context[0]), 0);
    for (int i = 1; i < RINGS; i++) {
        nr[i] = aio_ring(context[i])->nr;
        aio_done(context[i], 3 * i, 100 * i);
        aio_expect(context[i], i, 100 * i);
    }
    size_t size = (32 + 32 * (size_t)nr[2] + 4095) / 4096 * 4096;
    void *place = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    specimen_equal(mremap((void *)context[2], size, size, MREMAP_MAYMOVE | MREMAP_FIXED, place), place);
    context[2] = (aio_context_t)place;
    specimen_equal(mprotect((void *)context[1], 4096, PROT_READ), 0);

    specimen_ready();
    specimen_wait();

    files_fails(write(memory_file("scratch", 1, 1), (void *)context[0], 1), EFAULT);
    int zero = open("/dev/zero", O_RDONLY);
    files_fails(read(zero, (void *)context[1], 1), EFAULT);
    for (int i = 1; i < RINGS; i++) {
        specimen_equal(aio_ring(context[i])->nr, nr[i]);
        aio_expect(context[i], 2 * i, 100 * i + i);
        aio_expect_none(context[i]);
        specimen_check(aio_room(context[i]) >= 1 << (2 * i));
    }
    return specimen_pass();
}
