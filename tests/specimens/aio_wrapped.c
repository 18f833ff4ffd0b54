/* specimen: ring of asynchronous input and output that has gone round many times, with results on both sides of its end | group: objects | needs: root, bpf */
#include "aio.h"

int main(void) {
    aio_context_t context = aio_setup(300); /* several pages */
    struct aio_ring *ring = aio_ring(context);
    unsigned entries = ring->nr;
    for (long i = 0; i < 5L * entries - 3; i++) {
        aio_done(context, 1, i);
        aio_expect(context, 1, i);
    }
    specimen_equal(ring->head, entries - 3);
    aio_done(context, 200, 4000);
    specimen_equal(ring->tail, 197);

    specimen_ready();
    specimen_wait();

    specimen_equal(ring->nr, entries);
    specimen_equal(ring->head, entries - 3);
    specimen_equal(ring->tail, 197);
    aio_expect(context, 200, 4000);
    aio_done(context, 300, 9000);
    aio_expect(context, 300, 9000);
    specimen_check(aio_room(context) >= 600);
    return specimen_pass();
}
