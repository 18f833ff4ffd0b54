/* specimen: sessions and groups in a nested PID namespace, those from outside are 0 there, one leader is dead | group: ns | needs: root, new namespaces */
#include "ns.h"

#include <sys/prctl.h>

static void outsider(struct peer *me) { /* in session and group of the specimen */
    specimen_equal(getsid(0), 0);
    specimen_equal(getpgrp(), 0);
    peer_turn(me);
    specimen_equal(getsid(0), 0);
    specimen_equal(getpgrp(), 0);
}

static void leads(struct peer *me) {
    specimen_equal(setsid(), getpid());
    peer_turn(me);
    specimen_equal(getsid(0), getpid());
    specimen_equal(getpgrp(), getpid());
}

static void groups(struct peer *me) { /* a group of its own in the session from outside */
    specimen_equal(setpgid(0, 0), 0);
    peer_turn(me);
    specimen_equal(getsid(0), 0);
    specimen_equal(getpgrp(), getpid());
}

static void first(struct peer *me) {
    struct peer *peers[] = {peer_start(outsider), peer_start(leads), peer_start(groups)};
    int pipe_of_numbers[2], numbers[3];
    specimen_equal(pipe(pipe_of_numbers), 0);
    pid_t dead = fork();
    if (dead == 0) {
        setsid();
        pid_t pid = fork();
        if (pid == 0) {
            int mine[3] = {getpid(), getsid(0), getpgrp()};
            specimen_equal(write(pipe_of_numbers[1], mine, sizeof mine), sizeof mine);
            close(pipe_of_numbers[0]);
            close(pipe_of_numbers[1]);
            for (;;) pause();
        }
        _exit(0);
    }
    specimen_equal(waitpid(dead, NULL, 0), dead);
    specimen_equal(read(pipe_of_numbers[0], numbers, sizeof numbers), sizeof numbers);
    close(pipe_of_numbers[0]);
    close(pipe_of_numbers[1]);
    specimen_equal(numbers[1], dead);
    peer_turn(me);
    specimen_equal(getsid(numbers[0]), dead);
    specimen_equal(getpgid(numbers[0]), dead);
    specimen_equal(kill(numbers[0], SIGKILL), 0);
    specimen_equal(waitpid(numbers[0], NULL, 0), numbers[0]); /* an orphan: it came to the first process */
    for (int i = 0; i < 3; i++) peer_end(peers[i]);
}

int main(void) {
    ns_need(CLONE_NEWPID);
    struct peer *peer = ns_start(first, NULL);

    specimen_ready();
    specimen_wait();

    peer_end(peer);
    return specimen_pass();
}
