/* specimen: a thread that sleeps in poll(2) for at most an hour sleeps on | group: signals | needs: nothing */
#include "sleeper.h"

#include <poll.h>

static int ends[2];
static struct pollfd entry = {.events = POLLIN, .revents = 0x55};
static long poll_there(void) { return syscall(SYS_poll, &entry, 1, 3600 * 1000); }
static long poll_again(void) { return syscall(SYS_poll, NULL, 0, 3600 * 1000); }

int main(void) {
    specimen_equal(pipe(ends), 0);
    entry.fd = ends[0];
    struct sleeper *one = sleeper_start(poll_there, SYS_poll), *other = sleeper_start(poll_again, SYS_poll);

    specimen_ready();
    specimen_wait();

    sleeper_still(one);
    sleeper_still(other);
    specimen_equal(write(ends[1], "x", 1), 1);
    sleeper_returns(one, 1, 0);
    specimen_equal(entry.revents, POLLIN);
    sleeper_interrupt(other);
    sleeper_returns(other, -1, EINTR);
    return specimen_pass();
}
