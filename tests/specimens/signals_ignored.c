/* specimen: ignored signals stay ignored; ignored SIGCHLD leaves no zombies | group: signals | needs: nothing */
#include "signals.h"

int main(void) {
    static const int ignored[] = {SIGHUP, SIGINT, SIGPIPE, SIGUSR1, SIGTSTP, SIGCHLD, SIGWINCH};
    enum { COUNT = sizeof ignored / sizeof *ignored };
    for (int i = 0; i < COUNT; i++) signal(ignored[i], SIG_IGN);

    specimen_ready();
    uint64_t before = task_status_hex(getpid(), "SigIgn");
    specimen_wait();

    specimen_equal(task_status_hex(getpid(), "SigIgn"), before);
    for (int i = 0; i < COUNT; i++) {
        specimen_equal(signals_get(ignored[i]).handler, SIG_IGN);
        specimen_equal(raise(ignored[i]), 0);
    }
    specimen_equal(signals_get(SIGUSR2).handler, SIG_DFL);
    pid_t child = fork();
    if (child == 0) _exit(0);
    specimen_equal(waitpid(child, NULL, 0), -1);
    specimen_equal(errno, ECHILD);
    return specimen_pass();
}
