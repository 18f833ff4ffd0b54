/* specimen: locks of a process on parts of a file, for reading and for writing | group: files | needs: nothing */
#include "locks.h"

int main(void) {
    int fd = files_open_at(20, "file", O_RDWR | O_CREAT);
    lock_set(fd, F_SETLK, F_WRLCK, 0, 10);
    lock_set(fd, F_SETLK, F_RDLCK, 100, 50);
    lock_set(fd, F_SETLK, F_WRLCK, 5000, 0);

    specimen_ready();
    specimen_wait();

    struct lock_seen seen = lock_seen_by_child("file", 5);
    specimen_equal(seen.pid, getpid());
    specimen_equal(seen.type, F_WRLCK);
    specimen_equal(seen.start, 0);
    specimen_equal(seen.length, 10);
    seen = lock_seen_by_child("file", 120);
    specimen_equal(seen.pid, getpid());
    specimen_equal(seen.type, F_RDLCK);
    specimen_equal(seen.length, 50);
    seen = lock_seen_by_child("file", 1 << 30);
    specimen_equal(seen.start, 5000);
    specimen_equal(seen.length, 0);
    specimen_equal(lock_seen_by_child("file", 50).pid, 0);
    close(open("file", O_RDONLY));
    specimen_equal(lock_seen_by_child("file", 5).pid, 0);
    return specimen_pass();
}
