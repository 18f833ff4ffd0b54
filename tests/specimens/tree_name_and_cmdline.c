/* specimen: name (comm) and command line that a program has written over, beyond the end of the old one | group: tree | needs: nothing */
#include "task.h"

#include <sys/prctl.h>

int main(int argc, char **argv) {
    static const char wanted[] = "specimen: worker process";
    /* What daemons do: write over the arguments and, where those are too short, over the environment behind them.
     * proc_pid_cmdline(5): without a NUL at the end of the arguments the kernel reads on to the first NUL. */
    specimen_equal(argc, 1);
    memset(argv[0], '!', strlen(argv[0]) + 1);
    memcpy(argv[0], "specimen: ", 10);
    char before[4096], after[4096], name[16];
    size_t size = task_read("/proc/self/cmdline", before, sizeof before);
    specimen_check(size > sizeof wanted && memcmp(before, wanted, 10) == 0);
    specimen_equal(prctl(PR_SET_NAME, "worker 0"), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(task_read("/proc/self/cmdline", after, sizeof after), size);
    specimen_equal(memcmp(before, after, size), 0);
    specimen_equal(prctl(PR_GET_NAME, name), 0);
    specimen_equal_text(name, "worker 0");
    specimen_equal_text(task_status(getpid(), "Name"), "worker 0");
    /* It is still the same memory that shows there. */
    argv[0][0] = 'S';
    specimen_check(task_read("/proc/self/cmdline", after, sizeof after) == size && after[0] == 'S');
    return specimen_pass();
}
