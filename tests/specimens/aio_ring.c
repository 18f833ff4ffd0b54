/* specimen: ring of asynchronous input and output (io_setup) at its address, empty | group: objects | needs: root, bpf */
#include "aio.h"

int main(void) {
    aio_context_t context = aio_setup(16);
    struct aio_ring before = *aio_ring(context);
    files_make("file", 8192, 3);
    int fd = open("file", O_RDWR);

    specimen_ready();
    specimen_wait();

    struct aio_ring *ring = aio_ring(context);
    specimen_equal(ring->nr, before.nr);
    specimen_equal(ring->magic, before.magic);
    aio_expect_none(context);

    /* Reading, writing and syncing a file. */
    static unsigned char bytes[4096];
    struct iocb read = {.aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = fd, .aio_buf = (uintptr_t)bytes,
                        .aio_nbytes = sizeof bytes, .aio_offset = 4096, .aio_data = 77};
    struct iocb sync = {.aio_lio_opcode = IOCB_CMD_FSYNC, .aio_fildes = fd};
    struct iocb *requests[] = {&read, &sync};
    specimen_equal(syscall(SYS_io_submit, context, 1, requests), 1);
    struct io_event event;
    specimen_equal(syscall(SYS_io_getevents, context, 1, 1, &event, NULL), 1);
    specimen_equal(event.data, 77);
    specimen_equal(event.obj, (uintptr_t)&read);
    specimen_equal(event.res, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) specimen_equal(bytes[i], memory_byte(3, 4096 + i));
    specimen_equal(syscall(SYS_io_submit, context, 1, requests + 1), 1);
    specimen_equal(syscall(SYS_io_getevents, context, 1, 1, &event, NULL), 1);
    specimen_equal(event.res, 0);
    specimen_check(aio_room(context) > 16);
    specimen_equal(syscall(SYS_io_destroy, context), 0);
    return specimen_pass();
}
