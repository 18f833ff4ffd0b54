/* specimen: open files of the process's own /proc/self | group: objects | needs: nothing */
#include "files.h"

int main(void) {
    char text[64] = "";
    int stat = open("/proc/self/stat", O_RDONLY), folder = open("/proc/self/task", O_RDONLY | O_DIRECTORY);
    int memory = open("/proc/self/mem", O_RDWR), path = open("/proc/self", O_PATH);
    specimen_equal(read(stat, text, 5), 5);

    specimen_ready();
    specimen_wait();

    char wanted[32];
    snprintf(wanted, sizeof wanted, "%d (", getpid());
    specimen_equal(files_offset(stat), 5);
    specimen_equal(pread(stat, text, strlen(wanted), 0), strlen(wanted));
    text[strlen(wanted)] = 0;
    specimen_equal_text(text, wanted);
    volatile long word = 4711, other = 4712;
    specimen_equal(pwrite(memory, (void *)&other, sizeof other, (off_t)(uintptr_t)&word), sizeof other);
    specimen_equal(word, 4712);
    snprintf(wanted, sizeof wanted, "%d", getpid());
    specimen_equal(faccessat(folder, wanted, F_OK, 0), 0);
    specimen_equal(faccessat(path, "fd", F_OK, 0), 0);
    return specimen_pass();
}
