/* specimen: locks on a deleted file | group: files | needs: nothing */
#include "locks.h"

int main(void) {
    int fd = files_open_at(20, "file", O_RDWR | O_CREAT);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), fd);
    specimen_equal(unlink("file"), 0);
    lock_set(fd, F_SETLK, F_WRLCK, 3, 4);
    specimen_equal(flock(fd, LOCK_EX), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(lock_seen_by_child(path, 3).pid, getpid());
    int other = open(path, O_RDWR | O_CLOEXEC);
    files_fails(flock(other, LOCK_SH | LOCK_NB), EWOULDBLOCK);
    return specimen_pass();
}
