/* specimen: cgroup namespace, entered by a second process | group: ns | needs: root, new namespaces */
#include "ns.h"

#include <fcntl.h>

static void member(struct peer *me) {
    char path[64], text[4096] = "";
    int fd = open(me->data, O_RDONLY);
    specimen_check(fd >= 0);
    specimen_equal(setns(fd, CLONE_NEWCGROUP), 0);
    specimen_equal(close(fd), 0);
    peer_turn(me);
    snprintf(path, sizeof path, "/proc/%d/ns/cgroup", (int)getppid());
    specimen_check(readlink(path, text, sizeof text - 1) > 0);
    specimen_equal(strtoull(strchr(text, '[') + 1, NULL, 10), ns_inode("cgroup"));
    FILE *file = fopen("/proc/self/cgroup", "r"); /* whatever group it is in: that is the root of every hierarchy */
    specimen_check(file);
    while (fgets(text, sizeof text, file)) specimen_equal_text(strrchr(text, ':'), ":/\n");
    fclose(file);
}

static void maker(struct peer *me) {
    char path[64];
    unsigned long long *outside = me->data;
    specimen_equal(unshare(CLONE_NEWCGROUP), 0);
    snprintf(path, sizeof path, "/proc/%d/ns/cgroup", (int)getpid());
    struct peer *other = peer_start_with(member, path);
    peer_turn(me);
    specimen_check(ns_inode("cgroup") != *outside);
    peer_end(other);
}

int main(void) {
    ns_need(CLONE_NEWCGROUP);
    unsigned long long *own = peer_shared(sizeof *own);
    struct peer *peer = peer_start_with(maker, own);

    specimen_ready();
    specimen_wait();

    *own = ns_inode("cgroup");
    peer_end(peer);
    return specimen_pass();
}
