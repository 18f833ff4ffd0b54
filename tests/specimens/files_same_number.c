/* specimen: the same number is another file in the child, and numbers are crossed over | group: files | needs: nothing */
#include "files.h"
#include "peer.h"

static void child(struct peer *me) {
    /* Swap 3 and 4, keep both descriptions; 5 is something of its own. */
    specimen_equal(dup2(3, 6), 6);
    specimen_equal(dup2(4, 3), 3);
    specimen_equal(dup2(6, 4), 4);
    close(6), close(5);
    files_open_at(5, "/dev/zero", O_RDONLY);
    peer_turn(me);
    files_expect(4, 100, 1, 100);
    files_expect(3, 100, 2, 200);
    char byte = 'x';
    specimen_equal(read(5, &byte, 1), 1);
    specimen_equal(byte, 0);
    peer_turn(me);
}

int main(void) {
    files_make("one", 1000, 1), files_make("two", 1000, 2);
    files_open_at(3, "one", O_RDONLY), files_open_at(4, "two", O_RDONLY), files_open_at(5, "/dev/null", O_RDONLY);
    lseek(3, 100, SEEK_SET), lseek(4, 200, SEEK_SET);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    peer_step(peer);
    files_expect(3, 100, 1, 200);
    files_expect(4, 100, 2, 300);
    char byte;
    specimen_equal(read(5, &byte, 1), 0);
    peer_end(peer);
    return specimen_pass();
}
