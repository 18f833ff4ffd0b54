/* specimen: threads in ppoll(2) and pselect(2), with masks of their own for the time of the call, sleep on | group: signals | needs: nothing */
#include "sleeper.h"

#include <poll.h>
#include <sys/select.h>

static int ends[2];
static struct timespec hour = {3600, 0};

/* SIGUSR1 is blocked outside of the call and let in within: what the kernel saves to put back afterwards is the mask
 * with SIGUSR1 in it. */
static void masks(sigset_t *within) {
    sigset_t block;
    sigfillset(&block);
    pthread_sigmask(SIG_SETMASK, &block, NULL);
    sigfillset(within);
    sigdelset(within, SIGUSR1);
}
static void expect_masked(void) {
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    specimen_equal(sigismember(&now, SIGUSR1), 1);
    specimen_equal(sigismember(&now, SIGUSR2), 1);
}

static long ppoll_there(void) {
    sigset_t within;
    masks(&within);
    struct pollfd entry = {.fd = ends[0], .events = POLLIN};
    long result = ppoll(&entry, 1, &hour, &within);
    int saved = errno;
    expect_masked();
    errno = saved;
    return result;
}

static long pselect_there(void) {
    sigset_t within;
    masks(&within);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    long result = pselect(ends[0] + 1, &set, NULL, NULL, &hour, &within);
    int saved = errno;
    expect_masked();
    specimen_check(result != 1 || FD_ISSET(ends[0], &set));
    errno = saved;
    return result;
}

int main(void) {
    struct sigaction action = {.sa_handler = sleeper_handler_};
    sigaction(SIGUSR1, &action, NULL);
    specimen_equal(pipe(ends), 0);
    struct sleeper *poll_1 = sleeper_start(ppoll_there, SYS_ppoll), *poll_2 = sleeper_start(ppoll_there, SYS_ppoll);
    struct sleeper *select_1 = sleeper_start(pselect_there, SYS_pselect6),
                   *select_2 = sleeper_start(pselect_there, SYS_pselect6);

    specimen_ready();
    specimen_wait();

    struct sleeper *all[] = {poll_1, poll_2, select_1, select_2};
    for (int i = 0; i < 4; i++) sleeper_still(all[i]);
    specimen_equal(pthread_kill(poll_2->thread, SIGUSR1), 0);
    specimen_equal(pthread_kill(select_2->thread, SIGUSR1), 0);
    sleeper_returns(poll_2, -1, EINTR);
    sleeper_returns(select_2, -1, EINTR);
    specimen_equal(write(ends[1], "x", 1), 1);
    sleeper_returns(poll_1, 1, 0);
    sleeper_returns(select_1, 1, 0);
    return specimen_pass();
}
