/* specimen: fork shares the offset with a child and a grandchild | group: files | needs: nothing */
#include "files.h"
#include "peer.h"

static void grandchild(struct peer *me) {
    peer_turn(me);
    files_expect(3, 1000, 1, 4000);
    peer_turn(me);
}

static void child(struct peer *me) {
    struct peer *below = peer_start(grandchild);
    peer_turn(me);
    files_expect(3, 1000, 1, 3000);
    peer_step(below);
    specimen_equal(files_offset(3), 5000);
    peer_turn(me);
    peer_end(below);
}

int main(void) {
    files_make("data", 10000, 1);
    files_open_at(3, "data", O_RDONLY);
    struct peer *peer = peer_start(child);
    files_expect(3, 2000, 1, 0);

    specimen_ready();
    specimen_wait();

    files_expect(3, 1000, 1, 2000);
    peer_step(peer);
    files_expect(3, 1000, 1, 5000);
    peer_end(peer);
    return specimen_pass();
}
