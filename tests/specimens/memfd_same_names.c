/* specimen: three memfds of one name, one of them shared by descriptor and mapping with a child | group: objects | needs: nothing */
#include "files.h"
#include "peer.h"

static int fds[3];
static void child(struct peer *me) {
    char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds[1], 0);
    close(fds[1]);
    peer_turn(me);
    specimen_equal(memory[0], 'b');
    memory[1] = 'z';
    specimen_equal(pwrite(fds[2], "y", 1, 1), 1);
}

int main(void) {
    for (int i = 0; i < 3; i++) {
        fds[i] = memfd_create("same", 0);
        specimen_equal(ftruncate(fds[i], 4096), 0);
        specimen_equal(pwrite(fds[i], &"abc"[i], 1, 0), 1);
    }
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    peer_end(peer);
    files_expect_at(fds[0], 0, "a");
    files_expect_at(fds[1], 0, "bz");
    files_expect_at(fds[2], 0, "cy");
    specimen_equal_text(files_link(fds[0]), "/memfd:same (deleted)");
    return specimen_pass();
}
