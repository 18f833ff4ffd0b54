/* specimen: pidfds of two children, watched by epoll by numbers that were closed since | group: objects | needs: nothing */
#include "events.h"
#include "pidfd.h"

int main(void) {
    struct peer *one = peer_start(pidfd_sleeper), *two = peer_start(pidfd_sleeper);
    int epoll = epoll_create1(0), first = pidfd_new(one->pid, 0), second = pidfd_new(two->pid, 0);
    events_add(epoll, first, EPOLLIN, 1);
    events_add(epoll, second, EPOLLIN, 2);
    specimen_equal(dup3(first, 90, O_CLOEXEC), 90);
    specimen_equal(dup3(second, 91, O_CLOEXEC), 91);
    close(first);
    close(second);

    specimen_ready();
    specimen_wait();

    events_expect_none(epoll);
    specimen_equal(pidfd_kill(91, SIGKILL), 0);
    struct epoll_event found;
    specimen_equal(epoll_wait(epoll, &found, 1, 20000), 1);
    specimen_check(found.events & EPOLLIN);
    specimen_equal(found.data.u64, 2);
    specimen_equal(waitpid(two->pid, NULL, 0), two->pid);
    peer_end(one);
    return specimen_pass();
}
