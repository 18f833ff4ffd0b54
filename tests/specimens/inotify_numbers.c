/* specimen: inotify whose watches have gaps in their numbers | group: events | needs: root */
#include "inotify.h"

int main(void) {
    int fd = inotify_new(0), numbers[20];
    char name[32];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "file%d", i);
        inotify_touch(name);
        numbers[i] = inotify_watch(fd, name, IN_MODIFY);
    }
    for (int i = 0; i < 20; i++)
        if (i % 3) inotify_rm_watch(fd, numbers[i]), inotify_expect(fd, numbers[i], IN_IGNORED, "");

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "file%d", i);
        int file = open(name, O_WRONLY);
        specimen_equal(write(file, "x", 1), 1);
        close(file);
        if (i % 3) inotify_expect_none(fd);
        else inotify_expect(fd, numbers[i], IN_MODIFY, "");
    }
    return specimen_pass();
}
