/* specimen: standard signals pending for the whole process, sent by itself and by a child | group: signals | needs: nothing */
#include "signals.h"

static volatile sig_atomic_t hits;
static void hit(int number) { (void)number, hits++; }

static void child(struct peer *me) {
    specimen_equal(kill(getppid(), SIGHUP), 0);
    peer_turn(me);
}

int main(void) {
    struct sigaction action = {.sa_handler = hit};
    sigaction(SIGUSR1, &action, NULL);
    uint64_t three = signals_bit(SIGUSR1) | signals_bit(SIGHUP) | signals_bit(SIGTSTP);
    signals_set_mask(three);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR1); /* pending already: the second one is lost, as it should be (signal(7)) */
    kill(getpid(), SIGTSTP);
    struct peer *peer = peer_start(child);
    specimen_equal(task_status_hex(getpid(), "ShdPnd"), three);

    specimen_ready();
    specimen_wait();

    siginfo_t info;
    specimen_equal(hits, 0);
    specimen_equal(task_status_hex(getpid(), "ShdPnd"), three);
    specimen_equal(task_status_hex(getpid(), "SigPnd"), 0);
    specimen_equal(signals_take(signals_bit(SIGHUP), &info), SIGHUP);
    specimen_equal(info.si_code, SI_USER);
    specimen_equal(info.si_pid, peer->pid);
    specimen_equal(info.si_uid, getuid());
    specimen_equal(signals_take(signals_bit(SIGTSTP), &info), SIGTSTP);
    specimen_equal(info.si_pid, getpid());
    signals_none(signals_bit(SIGHUP) | signals_bit(SIGTSTP));
    signals_set_mask(signals_bit(SIGTERM));
    specimen_equal(hits, 1);
    peer_end(peer);
    return specimen_pass();
}
