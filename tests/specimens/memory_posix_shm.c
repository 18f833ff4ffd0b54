/* specimen: POSIX shared memory object, mapped by two processes and opened again later | group: memory | needs: nothing */
#include "memory.h"
#include "peer.h"

static char name[64];

static void child(struct peer *me) {
    int fd = shm_open(name, O_RDWR, 0600);
    char *mine = memory_map_file(fd, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    close(fd);
    peer_turn(me);
    memory_check(mine, 4 * PAGE, 1);
    memory_fill(mine + 5 * PAGE, PAGE, 5);
    peer_turn(me);
}

int main(void) {
    /* Whoever runs this removes it: it must outlive this program, whose image may be restarted once more. */
    snprintf(name, sizeof name, "/specimen-%s", specimen_mark());
    int fd = shm_open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    specimen_check(fd >= 0 && ftruncate(fd, 8 * PAGE) == 0);
    char *area = memory_map_file(fd, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    close(fd);
    memory_fill(area, 4 * PAGE, 1);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    fd = shm_open(name, O_RDWR, 0600);
    specimen_check(fd >= 0);
    memory_check(area, 4 * PAGE, 1);
    peer_step(peer);
    memory_check(area + 5 * PAGE, PAGE, 5);
    char page[PAGE];
    specimen_equal(pread(fd, page, PAGE, 5 * PAGE), PAGE);
    memory_check(page, PAGE, 5);
    peer_end(peer);
    return specimen_pass();
}
