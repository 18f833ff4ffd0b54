/* specimen: hundreds of locks on one file | group: files | needs: nothing */
#include "locks.h"

int main(void) {
    int fd = files_open_at(20, "file", O_RDWR | O_CREAT);
    for (int i = 0; i < 300; i++) lock_set(fd, F_SETLK, i % 3 ? F_WRLCK : F_RDLCK, 10 * i, 5);

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < 300; i += 37) {
        struct lock_seen seen = lock_seen_by_child("file", 10 * i + 4);
        specimen_equal(seen.pid, getpid());
        specimen_equal(seen.type, i % 3 ? F_WRLCK : F_RDLCK);
        specimen_equal(seen.start, 10 * i);
        specimen_equal(lock_seen_by_child("file", 10 * i + 5).pid, 0);
    }
    return specimen_pass();
}
