/* specimen: a child with real, effective, saved and file system IDs that all differ, and supplementary groups | group: limits | needs: root */
#include "peer.h"
#include "task.h"

#include <grp.h>
#include <sys/fsuid.h>
#include <sys/stat.h>

static const gid_t groups[] = {5, 1111, 2222, 70000, 4000000000};
enum { COUNT = sizeof groups / sizeof *groups };

static void child(struct peer *me) {
    specimen_equal(setgroups(COUNT, groups), 0);
    specimen_equal(setresgid(2001, 2002, 2003), 0);
    setfsgid(2003);
    specimen_equal(setresuid(1001, 1002, 1003), 0);
    setfsuid(1003);
    peer_turn(me);

    gid_t found[64];
    struct stat status;
    specimen_equal_text(task_status(getpid(), "Uid"), "1001\t1002\t1003\t1003");
    specimen_equal_text(task_status(getpid(), "Gid"), "2001\t2002\t2003\t2003");
    specimen_equal(getgroups(64, found), COUNT);
    for (int i = 0; i < COUNT; i++) specimen_equal(found[i], groups[i]);
    int fd = open("everybody/mine", O_WRONLY | O_CREAT | O_EXCL, 0600);
    specimen_check(fd >= 0 && fstat(fd, &status) == 0);
    specimen_equal(status.st_uid, 1003);
    specimen_equal(status.st_gid, 2003);
    specimen_equal(task_status_hex(getpid(), "CapEff"), 0);
    specimen_equal(setuid(0), -1);
    specimen_equal(seteuid(1001), 0);
}

int main(void) {
    specimen_check(mkdir("everybody", 0777) == 0 && chmod("everybody", 0777) == 0);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    specimen_equal(getuid() + geteuid() + getgid() + getegid(), 0);
    peer_end(peer);
    return specimen_pass();
}
