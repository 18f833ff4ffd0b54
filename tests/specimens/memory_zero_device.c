/* specimen: /dev/zero mapped shared with a child, and mapped private | group: memory | needs: nothing */
#include "memory.h"
#include "peer.h"

static char *area;

static void child(struct peer *me) {
    peer_turn(me);
    memory_check(area, PAGE, 1);
    memory_fill(area + PAGE, PAGE, 2);
    peer_turn(me);
}

int main(void) {
    int fd = open("/dev/zero", O_RDWR);
    area = memory_map_file(fd, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    char *private = memory_map_file(fd, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
    close(fd);
    memory_fill(area, PAGE, 1);
    memory_fill(private + PAGE, PAGE, 9);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    peer_step(peer);
    memory_check(area + PAGE, PAGE, 2);
    memory_check_zero(area + 2 * PAGE, 2 * PAGE);
    memory_check_zero(private, PAGE);
    memory_check(private + PAGE, PAGE, 9);
    memory_check_zero(private + 2 * PAGE, 2 * PAGE);
    peer_end(peer);
    return specimen_pass();
}
