/* specimen: the name (comm) of every thread: empty, fifteen bytes, blanks, brackets, bytes that are no text | group: tree | needs: nothing */
#include "worker.h"

#include <sys/prctl.h>

static const char *const names[] = {"", "fifteen letters", "a) R 1 (b", "\xff\n\t\x01", "plain"};
enum { COUNT = sizeof names / sizeof *names };

static void expect(const char *name) {
    char found[16] = "not asked";
    specimen_equal(prctl(PR_GET_NAME, found), 0);
    specimen_equal_text(found, name);
}

static void run(struct worker *me) {
    specimen_equal(prctl(PR_SET_NAME, me->data), 0);
    worker_turn(me);
    expect(me->data);
}

int main(void) {
    struct worker *workers[COUNT];
    for (int i = 0; i < COUNT; i++) workers[i] = worker_start(run, (void *)names[i]);
    prctl(PR_SET_NAME, "main (thread)");

    specimen_ready();
    specimen_wait();

    expect("main (thread)");
    for (int i = 0; i < COUNT; i++) worker_end(workers[i]);
    return specimen_pass();
}
