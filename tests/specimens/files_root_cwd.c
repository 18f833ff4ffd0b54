/* specimen: children with a current folder and a root of their own | group: files | needs: root */
#include "files.h"
#include "peer.h"

static void visitor(struct peer *me) {
    specimen_equal(chdir("one"), 0);
    peer_turn(me);
    char path[4096];
    specimen_check(getcwd(path, sizeof path) && memory_ends_with(path, "/one"));
    files_expect(open("data", O_RDONLY), 100, 1, 0);
    files_expect(open("../two/data", O_RDONLY), 100, 2, 0);
    peer_turn(me);
}

static void prisoner(struct peer *me) {
    specimen_check(chroot("two") == 0 && chdir("/deep") == 0);
    files_open_at(3, "/data", O_RDONLY);
    peer_turn(me);
    char path[4096];
    specimen_check(getcwd(path, sizeof path) && strcmp(path, "/deep") == 0);
    files_expect(open("/data", O_RDONLY), 100, 2, 0);
    files_expect(3, 100, 2, 0);
    specimen_equal(strcmp(path, "/deep"), 0);
    specimen_equal(access("/one", F_OK), -1);
    specimen_equal(chdir(".."), 0);
    specimen_equal(chdir(".."), 0);
    specimen_equal(access("data", F_OK), 0);
    peer_turn(me);
}

int main(void) {
    specimen_check(mkdir("one", 0755) == 0 && mkdir("two", 0755) == 0 && mkdir("two/deep", 0755) == 0);
    files_make("one/data", 100, 1), files_make("two/data", 100, 2);
    struct peer *first = peer_start(visitor), *second = peer_start(prisoner);

    specimen_ready();
    specimen_wait();

    specimen_equal(access("one/data", F_OK), 0);
    peer_step(first), peer_step(second);
    peer_end(first), peer_end(second);
    return specimen_pass();
}
