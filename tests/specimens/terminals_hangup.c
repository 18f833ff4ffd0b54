/* specimen: closing the master afterwards hangs up: SIGHUP to the session leader, end of file for readers | group: terminals | needs: nothing */
#include "terminals.h"

static struct terminal pair;
static volatile sig_atomic_t hangups;
static void count(int number) { (void)number, hangups++; }

static void leader(struct peer *me) {
    struct sigaction action = {.sa_handler = count};
    close(pair.master);
    sigaction(SIGHUP, &action, NULL);
    terminal_control(pair.slave);
    peer_turn(me);
    specimen_equal(hangups, 0);
    peer_turn(me);
    while (!hangups) sched_yield();
    char byte;
    specimen_equal(read(pair.slave, &byte, 1), 0);
    files_fails(write(pair.slave, "x", 1), EIO);
    files_fails(open("/dev/tty", O_RDWR), ENXIO);
    peer_turn(me);
}

int main(void) {
    pair = terminal_open();
    struct peer *peer = peer_start(leader);
    close(pair.slave);

    specimen_ready();
    specimen_wait();

    peer_step(peer);
    close(pair.master);
    peer_step(peer);
    peer_end(peer);
    return specimen_pass();
}
