/* specimen: pipe with only its write end left: EPIPE and SIGPIPE | group: files | needs: nothing */
#include "files.h"

static volatile sig_atomic_t signals;
static void count(int number) { (void)number, signals++; }

int main(void) {
    int ends[2];
    specimen_equal(pipe(ends), 0);
    struct sigaction action = {.sa_handler = count};
    sigaction(SIGPIPE, &action, NULL);
    files_write(ends[1], 100, 1, 0);
    close(ends[0]);

    specimen_ready();
    specimen_wait();

    specimen_check(files_poll(ends[1]) & POLLERR);
    files_fails(write(ends[1], "x", 1), EPIPE);
    specimen_equal(signals, 1);
    return specimen_pass();
}
