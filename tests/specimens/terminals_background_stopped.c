/* specimen: a background job stopped by SIGTTIN already, brought to the foreground afterwards | group: terminals | needs: nothing */
#include "terminals.h"

static struct terminal pair;

static void job(struct peer *me) {
    specimen_equal(setpgid(0, 0), 0);
    peer_turn(me);
    char line[64];
    specimen_equal(read(pair.slave, line, sizeof line), 12); /* restarted by the kernel after SIGCONT */
    specimen_equal(memcmp(line, "for the job\n", 12), 0);
}

static void leader(struct peer *me) {
    close(pair.master);
    terminal_control(pair.slave);
    struct peer *below = peer_start(job);
    peer_tell(below);
    int status = 0;
    specimen_equal(waitpid(below->pid, &status, WUNTRACED), below->pid);
    specimen_check(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTTIN);
    peer_turn(me);
    specimen_equal(waitpid(below->pid, &status, WNOHANG), 0);
    terminal_await_state(below->pid, 'T');
    specimen_equal(tcsetpgrp(pair.slave, below->pid), 0);
    specimen_equal(kill(below->pid, SIGCONT), 0);
    peer_reap(below);
}

int main(void) {
    pair = terminal_open();
    terminal_plain(pair.slave, 1);
    struct peer *peer = peer_start(leader);

    specimen_ready();
    specimen_wait();

    terminal_type(pair.master, "for the job\n");
    peer_end(peer);
    return specimen_pass();
}
