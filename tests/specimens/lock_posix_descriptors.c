/* specimen: lock of a process whose file it has open by several descriptors | group: files | needs: nothing */
#include "locks.h"

int main(void) {
    int fd = files_open_at(20, "file", O_RDWR | O_CREAT), same = dup(fd), other = open("file", O_RDWR);
    lock_set(same, F_SETLK, F_WRLCK, 0, 1);
    lock_set(other, F_SETLK, F_WRLCK, 5, 1);

    specimen_ready();
    specimen_wait();

    specimen_equal(lock_seen_by_child("file", 0).pid, getpid());
    specimen_equal(lock_seen_by_child("file", 5).pid, getpid());
    close(other); /* any of them drops all */
    specimen_equal(lock_seen_by_child("file", 0).pid, 0);
    return specimen_pass();
}
