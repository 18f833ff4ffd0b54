/* specimen: TCP connection that tells by a signal when there is something to read | group: tcp | needs: root */
#include "tcp.h"

int main(void) {
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, SIGRTMIN + 3);
    sigprocmask(SIG_BLOCK, &set, NULL);
    struct tcp_ends ends = tcp_pair_four();
    specimen_equal(fcntl(ends.server, F_SETOWN, getpid()), 0);
    specimen_equal(fcntl(ends.server, F_SETSIG, SIGRTMIN + 3), 0);
    specimen_equal(fcntl(ends.server, F_SETFL, O_ASYNC | O_NONBLOCK), 0);

    specimen_ready();
    specimen_wait();

    struct timespec none = {0}, limit = {.tv_sec = 10};
    siginfo_t info;
    files_fails(sigtimedwait(&set, &info, &none), EAGAIN);
    specimen_equal(files_flags(ends.server), O_RDWR | O_ASYNC | O_NONBLOCK);
    files_write(ends.client, 10, 1, 0);
    specimen_equal(sigtimedwait(&set, &info, &limit), SIGRTMIN + 3);
    specimen_equal(info.si_fd, ends.server);
    files_expect(ends.server, 10, 1, 0);
    return specimen_pass();
}
