/* specimen: a thread that sleeps in read(2) on a pipe sleeps on, and gets what comes | group: signals | needs: nothing */
#include "sleeper.h"

static int ends[2];
static char text[8];
static long read_there(void) { return read(ends[0], text, sizeof text); }

int main(void) {
    specimen_equal(pipe(ends), 0);
    struct sleeper *sleeper = sleeper_start(read_there, SYS_read);

    specimen_ready();
    specimen_wait();

    sleeper_still(sleeper);
    specimen_equal(write(ends[1], "hello", 5), 5);
    sleeper_returns(sleeper, 5, 0);
    specimen_equal(memcmp(text, "hello", 5), 0);
    return specimen_pass();
}
