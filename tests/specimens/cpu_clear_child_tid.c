/* specimen: clear_child_tid: the word that the kernel clears and wakes when a thread ends (set_tid_address(2)) | group: cpu | needs: nothing */
#include "worker.h"

#include <linux/futex.h>

static int word = 4711;

/* Takes the word away from pthread_join, so nobody joins this thread; the raw exit leaves the libc out of it. */
static void run(struct worker *me) {
    specimen_equal(syscall(SYS_set_tid_address, &word), me->tid);
    worker_turn(me);
    syscall(SYS_exit, 0);
}

int main(void) {
    struct worker *worker = worker_start(run, NULL);

    specimen_ready();
    specimen_wait();

    specimen_equal(word, 4711);
    worker_tell(worker);
    while (*(volatile int *)&word == 4711)
        if (syscall(SYS_futex, &word, FUTEX_WAIT, 4711, NULL, NULL, 0) != 0)
            specimen_check(errno == EAGAIN || errno == EINTR);
    specimen_equal(word, 0);
    return specimen_pass();
}
