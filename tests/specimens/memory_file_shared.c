/* specimen: shared file mapping: writes reach the file and another process | group: memory | needs: nothing */
#include "memory.h"
#include "peer.h"

enum { PAGES = 16 };

static void child(struct peer *me) {
    int fd = open("data", O_RDWR);
    char *mine = memory_map_file(fd, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    close(fd);
    memory_fill(mine + PAGE, PAGE, 11);
    peer_turn(me);
    memory_check(mine + 2 * PAGE, PAGE, 22);
    memory_fill(mine + 3 * PAGE, PAGE, 33);
    peer_turn(me);
}

int main(void) {
    int fd = memory_file("data", PAGES * PAGE, 3);
    char *area = memory_map_file(fd, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    close(fd);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    memory_check(area, PAGE, 3);
    memory_check(area + PAGE, PAGE, 11);
    memory_fill(area + 2 * PAGE, PAGE, 22);
    peer_step(peer);
    memory_check(area + 3 * PAGE, PAGE, 33);
    char page[PAGE];
    fd = open("data", O_RDONLY);
    for (int i = 1; i <= 3; i++) {
        specimen_equal(pread(fd, page, PAGE, i * PAGE), PAGE);
        memory_check(page, PAGE, 11 * i);
    }
    specimen_check(memory_ends_with(memory_area(area).path, "/data"));
    peer_end(peer);
    return specimen_pass();
}
