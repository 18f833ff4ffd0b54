/* specimen: ring of asynchronous input and output with results that nobody has taken | group: objects | needs: root, bpf */
#include "aio.h"

int main(void) {
    aio_context_t context = aio_setup(16);
    long room = aio_room(context); /* the tail is behind the start */
    unsigned tail = aio_ring(context)->tail;
    aio_done(context, 9, 1000);
    aio_expect(context, 2, 1000);

    specimen_ready();
    specimen_wait();

    specimen_equal(aio_ring(context)->head, (tail + 2) % aio_ring(context)->nr);
    specimen_equal(aio_ring(context)->tail, (tail + 9) % aio_ring(context)->nr);
    /* The kernel knows that they take room: what is made beside them overwrites none. */
    int fd = eventfd(0, 0);
    long more = aio_fill(context, fd, 5);
    eventfd_write(fd, 1);
    specimen_equal(more, room - 7);
    aio_expect(context, 7, 1002);
    for (long i = 0; i < more; i++) aio_expect(context, 1, 5);
    aio_expect_none(context);
    specimen_equal(aio_room(context), room);
    return specimen_pass();
}
