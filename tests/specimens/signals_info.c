/* specimen: siginfo of pending signals, every byte: the sender's PID and UID, codes, payload of a kind of its own | group: signals | needs: root */
#include "signals.h"

/* si_uid is the sender's real UID; the effective one, which is what permits to send, is 0 still. */
static void send_from(struct peer *me) {
    specimen_equal(setresuid(12345, 0, 0), 0);
    specimen_equal(kill(getppid(), SIGUSR1), 0);
    peer_turn(me);
}

int main(void) {
    enum { SIZE = 128, KEPT = 48 }; /* what the kernel keeps: struct kernel_siginfo; the rest must be 0 */
    unsigned char sent[SIZE] = {0}, found[SIZE];
    signals_set_mask(signals_bit(SIGUSR1) | signals_bit(60) | signals_bit(61));
    struct peer *peer = peer_start(send_from);
    /* A code below zero is the sender's own business (rt_sigqueueinfo(2)): no layout is known of it. */
    for (int i = 0; i < KEPT; i++) sent[i] = (unsigned char)(i * 7 + 3);
    siginfo_t own;
    memcpy(&own, sent, sizeof own);
    own.si_signo = 60, own.si_errno = 17, own.si_code = -61;
    memcpy(sent, &own, SIZE);
    specimen_equal(syscall(SYS_rt_sigqueueinfo, getpid(), 60, &own), 0);
    own.si_code = SI_MESGQ;
    own.si_signo = 61;
    specimen_equal(syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), 61, &own), 0);

    specimen_ready();
    specimen_wait();

    siginfo_t info;
    specimen_equal(signals_take(signals_bit(SIGUSR1), &info), SIGUSR1);
    specimen_equal(info.si_code, SI_USER);
    specimen_equal(info.si_pid, peer->pid);
    specimen_equal(info.si_uid, 12345);
    specimen_equal(signals_take(signals_bit(60), &info), 60);
    memcpy(found, &info, SIZE);
    specimen_equal(memcmp(found, sent, SIZE), 0);
    specimen_equal(signals_take(signals_bit(61), &info), 61);
    specimen_equal(info.si_code, SI_MESGQ);
    specimen_equal(info.si_errno, 17);
    specimen_equal(memcmp((char *)&info + 16, sent + 16, KEPT - 16), 0);
    peer_end(peer);
    return specimen_pass();
}
