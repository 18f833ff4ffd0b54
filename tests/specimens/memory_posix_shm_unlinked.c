/* specimen: POSIX shared memory object whose name is gone, mapped by two processes | group: memory | needs: nothing */
#include "memory.h"
#include "peer.h"

static char *area;

static void child(struct peer *me) {
    peer_turn(me);
    memory_check(area, 4 * PAGE, 1);
    memory_fill(area + 5 * PAGE, PAGE, 5);
    peer_turn(me);
}

int main(void) {
    char name[64];
    snprintf(name, sizeof name, "/specimen-%s", specimen_mark());
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    specimen_check(fd >= 0 && ftruncate(fd, 8 * PAGE) == 0);
    specimen_equal(shm_unlink(name), 0);
    area = memory_map_file(fd, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    close(fd);
    memory_fill(area, 4 * PAGE, 1);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    memory_check(area, 4 * PAGE, 1);
    peer_step(peer);
    memory_check(area + 5 * PAGE, PAGE, 5);
    specimen_equal(shm_open(name, O_RDWR, 0600), -1);
    specimen_equal(errno, ENOENT);
    peer_end(peer);
    return specimen_pass();
}
