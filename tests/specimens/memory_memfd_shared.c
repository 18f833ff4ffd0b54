/* specimen: memfd without a descriptor left, mapped by parent and child | group: memory | needs: nothing */
#include "memory.h"
#include "peer.h"

static char *area;

static void child(struct peer *me) {
    peer_turn(me);
    memory_check(area, 4 * PAGE, 1);
    memory_fill(area + PAGE, PAGE, 2);
    peer_turn(me);
}

int main(void) {
    int fd = memfd_create("specimen", MFD_CLOEXEC);
    specimen_check(fd >= 0 && ftruncate(fd, 8 * PAGE) == 0);
    area = memory_map_file(fd, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    close(fd);
    memory_fill(area, 4 * PAGE, 1);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    memory_check(area, 4 * PAGE, 1);
    peer_step(peer);
    memory_check(area + PAGE, PAGE, 2);
    specimen_check(strncmp(memory_area(area).path, "/memfd:specimen", 15) == 0);
    peer_end(peer);
    return specimen_pass();
}
