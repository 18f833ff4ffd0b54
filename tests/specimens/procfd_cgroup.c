/* specimen: open files of a control group: its processes, half read, and its folder | group: objects | needs: nothing */
#include "files.h"

/* Where one hierarchy or another is mounted: the second version alone, beside the first, and the first alone. */
static int group(void) {
    static const char *const places[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids"};
    for (unsigned i = 0; i < sizeof places / sizeof *places; i++) {
        int folder = open(places[i], O_RDONLY | O_DIRECTORY);
        if (folder >= 0 && faccessat(folder, "cgroup.procs", R_OK, 0) == 0) return folder;
        close(folder);
    }
    specimen_skip("no control groups are mounted at /sys/fs/cgroup");
}

int main(void) {
    int folder = group();
    int processes = openat(folder, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    char first[4], link[sizeof first + 4096], text[4096];
    specimen_check(processes >= 0);
    specimen_equal(read(processes, first, 2), 2);
    snprintf(link, sizeof link, "%s", files_link(processes));

    specimen_ready();
    specimen_wait();

    specimen_equal_text(files_link(processes), link);
    specimen_equal(files_offset(processes), 2);
    specimen_equal(fcntl(processes, F_GETFD), FD_CLOEXEC);
    specimen_equal(lseek(processes, 0, SEEK_SET), 0);
    ssize_t length = read(processes, text, sizeof text);
    specimen_check(length > 0);
    for (ssize_t i = 0; i < length; i++) specimen_check(text[i] == '\n' || (text[i] >= '0' && text[i] <= '9'));
    specimen_equal(faccessat(folder, "cgroup.procs", R_OK, 0), 0);
    return specimen_pass();
}
