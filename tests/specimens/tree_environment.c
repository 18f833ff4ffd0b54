/* specimen: environment: what execve gave, what setenv changed, what /proc/self/environ shows | group: tree | needs: nothing */
#include "task.h"

int main(void) {
    char before[4096], after[4096];
    char *path = getenv("PATH");
    specimen_check(path);
    size_t size = task_read("/proc/self/environ", before, sizeof before);
    specimen_check(size > 5 && memmem(before, size, "PATH=", 5));
    specimen_equal(setenv("SPECIMEN", "set later", 1), 0);
    specimen_equal(unsetenv("LC_ALL"), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(task_read("/proc/self/environ", after, sizeof after), size);
    specimen_equal(memcmp(before, after, size), 0);
    specimen_check(getenv("PATH") == path);
    specimen_equal_text(getenv("SPECIMEN"), "set later");
    specimen_check(!getenv("LC_ALL"));
    return specimen_pass();
}
