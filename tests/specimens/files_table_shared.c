/* specimen: descriptor table shared with a child (CLONE_FILES): what one opens or closes, the other sees | group: files | needs: nothing */
#include "files.h"
#include "peer.h"

static void child(struct peer *me) {
    files_open_at(5, "data", O_RDONLY);
    peer_turn(me);
    specimen_equal(files_is_open(6), 1);
    files_expect(6, 100, 1, 500);
    close(3);
    files_open_at(9, "/dev/null", O_RDONLY | O_CLOEXEC);
    peer_turn(me);
    specimen_equal(files_is_open(9), 0);
}

int main(void) {
    files_make("data", 1000, 1);
    files_open_at(3, "data", O_RDONLY);
    struct peer *peer = peer_start_sharing(child, CLONE_FILES, NULL);
    specimen_equal(files_is_open(5), 1);

    specimen_ready();
    specimen_wait();

    files_open_at(6, "data", O_RDONLY);
    lseek(6, 500, SEEK_SET);
    peer_step(peer);
    specimen_equal(files_is_open(3), 0);
    specimen_equal(fcntl(9, F_GETFD), FD_CLOEXEC);
    close(9);
    peer_end(peer);
    return specimen_pass();
}
