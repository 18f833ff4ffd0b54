/* specimen: a process that has entered a PID namespace two levels deeper (setns) and has a child there | group: ns | needs: root, new namespaces */
#include "ns.h"

static void inner(struct peer *me) {
    peer_turn(me);
    int status;
    specimen_equal(waitpid(-1, &status, WNOHANG), -1); /* the child is somebody else's */
    specimen_equal(errno, ECHILD);
}

static void outer(struct peer *me) {
    struct peer *peer = ns_start(inner, NULL);
    char text[32] = "";
    specimen_equal(peer->pid, 2);
    (void)text;
    peer_turn(me);
    peer_end(peer);
}

static void enters(struct peer *me) {
    pid_t own = getpid();
    specimen_equal(getppid(), 0);
    peer_turn(me);
    specimen_equal(getpid(), own);
    specimen_equal(getppid(), 0);
}

int main(void) {
    ns_need(CLONE_NEWPID);
    struct peer *peer = ns_start(outer, NULL);
    /* The one inside is the only one that is two levels deeper. */
    char path[64];
    int fd = -1;
    for (pid_t pid = peer->pid + 1; fd < 0 && pid < peer->pid + 1000; pid++) {
        snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        if (access(path, F_OK) == 0 && task_stat_number(pid, 4) == peer->pid) {
            snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)pid);
            fd = open(path, O_RDONLY | O_CLOEXEC);
        }
    }
    specimen_check(fd >= 0);
    specimen_equal(setns(fd, CLONE_NEWPID), 0);
    close(fd);
    struct peer *child = peer_start(enters);

    specimen_ready();
    specimen_wait();

    peer_end(child);
    struct peer *another = peer_start(enters);
    peer_end(another);
    peer_end(peer);
    return specimen_pass();
}
