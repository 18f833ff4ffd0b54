/* specimen: child blocked in read of a raw terminal that waits for five bytes (VMIN) | group: terminals | needs: nothing */
#include "terminals.h"

#include <sys/syscall.h>

static struct terminal pair;

static void child(struct peer *me) {
    close(pair.master);
    peer_turn(me);
    char bytes[16];
    ssize_t got = read(pair.slave, bytes, sizeof bytes);
    if (got < 0) specimen_fail("read: %s", strerror(errno));
    specimen_equal(got, 5);
    specimen_equal(memcmp(bytes, "fiver", 5), 0);
}

int main(void) {
    pair = terminal_open();
    terminal_plain(pair.slave, 0);
    struct termios settings;
    tcgetattr(pair.slave, &settings);
    settings.c_cc[VMIN] = 5, settings.c_cc[VTIME] = 0;
    specimen_equal(tcsetattr(pair.slave, TCSANOW, &settings), 0);
    struct peer *peer = peer_start(child);
    peer_tell(peer);
    peer_await_call(peer->pid, SYS_read);

    specimen_ready();
    specimen_wait();

    terminal_type(pair.master, "fiv");
    while (files_unread(pair.slave)) sched_yield(); /* the reader has them in its hands, and waits on */
    terminal_type(pair.master, "er");
    peer_reap(peer);
    return specimen_pass();
}
