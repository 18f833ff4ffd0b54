/* specimen: asynchronous reads and writes all the time, whose results an eventfd tells of: none is lost | group: objects | needs: root, bpf */
#include "aio.h"

#include <fcntl.h>

enum { DEPTH = 16, BLOCK = 4096, BLOCKS = 64 };

static aio_context_t context;
static int file, told;
static struct iocb request[DEPTH];
static uint64_t asked, answered;

/* Slot *slot* reads or writes a block, in which there is always the same: the file is not as old as the image. */
static void ask(int slot) {
    int block = slot + DEPTH * (asked / DEPTH % (BLOCKS / DEPTH));
    uint64_t *buffer = (uint64_t *)(uintptr_t)request[slot].aio_buf;
    int reads = asked % 3 != 0;
    memset(buffer, 0, BLOCK);
    if (!reads) buffer[BLOCK / 8 - 1] = block + 1;
    request[slot].aio_lio_opcode = reads ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE;
    request[slot].aio_offset = (int64_t)block * BLOCK;
    request[slot].aio_data = block;
    asked++;
    struct iocb *pointer = &request[slot];
    specimen_equal(syscall(SYS_io_submit, context, 1, &pointer), 1);
}

/* As many results as the eventfd tells of; each slot is used again at once if *again*. */
static void answer(int again) {
    uint64_t count;
    ssize_t got;
    while ((got = read(told, &count, sizeof count)) < 0 && errno == EINTR) continue;
    specimen_equal(got, sizeof count);
    while (count--) {
        struct io_event event;
        specimen_equal(syscall(SYS_io_getevents, context, 0, 1, &event, NULL), 1);
        specimen_equal(event.res, BLOCK);
        struct iocb *its = (struct iocb *)(uintptr_t)event.obj;
        uint64_t *buffer = (uint64_t *)(uintptr_t)its->aio_buf;
        specimen_equal(buffer[BLOCK / 8 - 1], event.data + 1);
        answered++;
        if (again) ask(its - request);
    }
}

int main(void) {
    context = aio_setup(DEPTH);
    told = eventfd(0, 0);
    file = open("file", O_RDWR | O_CREAT | O_DIRECT, 0600);
    if (file < 0) specimen_skip("no direct input and output: %s", strerror(errno));
    uint64_t *block = aligned_alloc(BLOCK, BLOCK);
    memset(block, 0, BLOCK);
    for (int i = 0; i < BLOCKS; i++) {
        block[BLOCK / 8 - 1] = i + 1;
        specimen_equal(pwrite(file, block, BLOCK, (off_t)i * BLOCK), BLOCK);
    }
    for (int i = 0; i < DEPTH; i++) {
        request[i].aio_fildes = file;
        request[i].aio_buf = (uintptr_t)aligned_alloc(BLOCK, BLOCK);
        request[i].aio_nbytes = BLOCK;
        request[i].aio_flags = IOCB_FLAG_RESFD;
        request[i].aio_resfd = told;
        ask(i);
    }

    specimen_ready();
    specimen_listen();
    while (!specimen_told()) answer(1);

    while (answered < asked) answer(0);
    aio_expect_none(context);
    return specimen_pass();
}
