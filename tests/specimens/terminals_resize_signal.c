/* specimen: SIGWINCH reaches the foreground group once the master is resized, and not before | group: terminals | needs: nothing */
#include "terminals.h"

static struct terminal pair;
static volatile sig_atomic_t resizes;
static void count(int number) { (void)number, resizes++; }

static void leader(struct peer *me) {
    struct sigaction action = {.sa_handler = count};
    close(pair.master);
    sigaction(SIGWINCH, &action, NULL);
    terminal_control(pair.slave);
    peer_turn(me);
    specimen_equal(resizes, 0);
    peer_turn(me);
    while (!resizes) sched_yield();
    specimen_equal(resizes, 1);
    struct winsize size;
    specimen_equal(ioctl(pair.slave, TIOCGWINSZ, &size), 0);
    specimen_equal(size.ws_col, 77);
    peer_turn(me);
}

int main(void) {
    pair = terminal_open();
    struct peer *peer = peer_start(leader);

    specimen_ready();
    specimen_wait();

    peer_step(peer);
    struct winsize size = {.ws_row = 7, .ws_col = 77};
    specimen_equal(ioctl(pair.master, TIOCSWINSZ, &size), 0);
    peer_step(peer);
    peer_end(peer);
    return specimen_pass();
}
