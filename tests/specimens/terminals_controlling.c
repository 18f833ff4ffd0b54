/* specimen: session of a child with the terminal as its own: foreground group, /dev/tty, SIGINT by key | group: terminals | needs: nothing */
#include "terminals.h"

static struct terminal pair;
static volatile sig_atomic_t interrupts;
static void count(int number) { (void)number, interrupts++; }

static void job(struct peer *me) {
    struct sigaction action = {.sa_handler = count};
    specimen_equal(setpgid(0, 0), 0);
    sigaction(SIGINT, &action, NULL);
    peer_turn(me);
    while (!interrupts) sched_yield();
    specimen_equal(tcgetpgrp(pair.slave), getpid());
    peer_turn(me);
}

static void leader(struct peer *me) {
    close(pair.master);
    terminal_control(pair.slave);
    signal(SIGTTOU, SIG_IGN);
    struct peer *below = peer_start(job);
    specimen_equal(tcsetpgrp(pair.slave, below->pid), 0);
    *(pid_t *)me->data = below->pid;
    peer_turn(me);
    specimen_equal(tcgetsid(pair.slave), getpid());
    specimen_equal(tcgetpgrp(pair.slave), below->pid);
    int tty = open("/dev/tty", O_RDWR);
    specimen_check(tty >= 0);
    specimen_equal(tcgetpgrp(tty), below->pid);
    peer_step(below);
    specimen_equal(tcsetpgrp(pair.slave, getpgrp()), 0);
    peer_turn(me);
    peer_end(below);
}

int main(void) {
    pair = terminal_open();
    pid_t *group = peer_shared(sizeof *group);
    struct peer *peer = peer_start_with(leader, group);

    specimen_ready();
    specimen_wait();

    specimen_equal(tcgetsid(pair.master), peer->pid);
    specimen_equal(tcgetpgrp(pair.master), *group);
    files_fails(open("/dev/tty", O_RDWR), ENXIO); /* this session has none */
    terminal_type(pair.master, "\003");
    peer_step(peer);
    specimen_equal(tcgetpgrp(pair.master), peer->pid);
    peer_end(peer);
    return specimen_pass();
}
