/* specimen: descriptor table once shared with a child, then unshared: equal content, yet two tables | group: files | needs: nothing */
#include "files.h"
#include "peer.h"

static void child(struct peer *me) {
    specimen_equal(unshare(CLONE_FILES), 0);
    peer_turn(me);
    specimen_equal(files_is_open(6), 0);
    close(3);
    peer_turn(me);
}

int main(void) {
    files_make("data", 1000, 1);
    files_open_at(3, "data", O_RDONLY);
    struct peer *peer = peer_start_sharing(child, CLONE_FILES, NULL);

    specimen_ready();
    specimen_wait();

    files_open_at(6, "data", O_RDONLY);
    peer_step(peer);
    specimen_equal(files_is_open(3), 1);
    files_expect(3, 1000, 1, 0);
    peer_end(peer);
    return specimen_pass();
}
