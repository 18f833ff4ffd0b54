/* specimen: PID namespace with its own /proc (unshare -p -f --mount-proc) | group: ns | needs: root, new namespaces */
#include "ns.h"

#include <dirent.h>
#include <sys/mount.h>

static void look(int processes, unsigned first) {
    char own[32] = "";
    specimen_check(readlink("/proc/self", own, sizeof own - 1) > 0);
    specimen_equal(atoi(own), getpid());
    DIR *folder = opendir("/proc");
    specimen_check(folder);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(folder));) count += entry->d_name[0] >= '0' && entry->d_name[0] <= '9';
    closedir(folder);
    specimen_equal(count, processes);
    specimen_equal(access("/proc/1/stat", R_OK), 0);
    specimen_equal((unsigned)getpid() == 1, first);
}

static void ordinary(struct peer *me) {
    peer_turn(me);
    look(2, 0);
    specimen_equal(access("/proc/sys/kernel/pid_max", R_OK), 0);
}

static void first(struct peer *me) {
    specimen_equal(mount("none", "/proc", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    specimen_equal(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), 0);
    struct peer *beside = peer_start(ordinary);
    specimen_equal(chdir("/usr"), 0);
    look(2, 1);
    peer_turn(me);
    look(2, 1);
    char here[64];
    specimen_equal_text(getcwd(here, sizeof here), "/usr");
    peer_end(beside);
}

int main(void) {
    ns_need(CLONE_NEWPID | CLONE_NEWNS);
    struct peer *peer = peer_start_sharing(first, CLONE_NEWPID | CLONE_NEWNS, NULL);

    specimen_ready();
    specimen_wait();

    char own[32] = "";
    specimen_check(readlink("/proc/self", own, sizeof own - 1) > 0);
    peer_end(peer);
    return specimen_pass();
}
