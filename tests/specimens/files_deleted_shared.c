/* specimen: deleted file shared by dup and by fork, and opened a second time | group: files | needs: nothing */
#include "files.h"
#include "peer.h"

static void child(struct peer *me) {
    peer_turn(me);
    files_expect(3, 100, 1, 1100); /* 3 and 4 of all processes: one offset */
    specimen_equal(files_offset(5), 7000);
    specimen_equal(pwrite(5, "child", 5, 9000), 5);
    peer_turn(me);
}

int main(void) {
    files_make("data", 10000, 1);
    files_open_at(3, "data", O_RDWR);
    specimen_equal(dup2(3, 4), 4);
    files_open_at(5, "data", O_RDWR);
    lseek(3, 1000, SEEK_SET), lseek(5, 7000, SEEK_SET);
    specimen_equal(unlink("data"), 0);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    files_expect(4, 100, 1, 1000);
    peer_step(peer);
    specimen_equal(files_offset(4), 1200);
    specimen_equal(files_offset(5), 7000);
    files_expect_at(3, 9000, "child");
    specimen_equal(files_stat(3).st_ino, files_stat(5).st_ino);
    specimen_equal(files_stat(5).st_nlink, 0);
    peer_end(peer);
    return specimen_pass();
}
