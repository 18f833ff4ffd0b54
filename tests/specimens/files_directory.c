/* specimen: directory half read: the rest of the names come, each once | group: files | needs: nothing */
#include "files.h"

#include <sys/syscall.h>

enum { NAMES = 200 };
static int seen[NAMES];

static int read_some(int fd, size_t size) {
    char buffer[32768];
    long got = syscall(SYS_getdents64, fd, buffer, size);
    specimen_check(got >= 0);
    for (long at = 0; at < got;) {
        struct dirent64 *entry = (struct dirent64 *)(buffer + at);
        int number;
        if (sscanf(entry->d_name, "name-%d", &number) == 1) seen[number]++;
        at += entry->d_reclen;
    }
    return got > 0;
}

int main(void) {
    specimen_equal(mkdir("folder", 0755), 0);
    for (int i = 0; i < NAMES; i++) {
        char name[64];
        snprintf(name, sizeof name, "folder/name-%d", i);
        files_make(name, 0, 0);
    }
    int fd = files_open_at(3, "folder", O_RDONLY | O_DIRECTORY);
    specimen_check(read_some(fd, 2048));
    off_t position = files_offset(fd);
    int count = 0;
    for (int i = 0; i < NAMES; i++) count += seen[i];
    specimen_check(count > 0 && count < NAMES);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_offset(fd), position);
    specimen_equal(files_flags(fd), O_RDONLY | O_DIRECTORY);
    while (read_some(fd, 2048)) {}
    for (int i = 0; i < NAMES; i++) specimen_equal(seen[i], 1);
    specimen_check(openat(fd, "name-17", O_RDONLY) >= 0);
    return specimen_pass();
}
