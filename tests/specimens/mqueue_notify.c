/* specimen: message queue that tells of the next message by a signal | group: objects | needs: refusal as of the next message (mq_notify) */
#include "queues.h"

int main(void) {
    int fd = mqueue_new(O_RDWR, 3, 100);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 99};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    specimen_equal(mq_notify(fd, &event), 0);

    specimen_ready();
    specimen_wait();

    siginfo_t info;
    specimen_equal(mq_send(fd, "hello", 5, 3), 0);
    specimen_equal(sigtimedwait(&set, &info, &(struct timespec){.tv_sec = 10}), SIGUSR1);
    specimen_equal(info.si_value.sival_int, 99);
    mq_unlink(mqueue_name());
    return specimen_pass();
}
