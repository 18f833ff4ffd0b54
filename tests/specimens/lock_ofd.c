/* specimen: locks of open file descriptions (F_OFD_SETLK) | group: files | needs: nothing */
#include "locks.h"

int main(void) {
    int one = files_open_at(20, "file", O_RDWR | O_CREAT), other = open("file", O_RDWR);
    lock_set(one, F_OFD_SETLK, F_WRLCK, 0, 10);
    lock_set(other, F_OFD_SETLK, F_RDLCK, 10, 0);

    specimen_ready();
    specimen_wait();

    struct flock lock = lock_of(F_WRLCK, 5, 1);
    files_fails(fcntl(other, F_OFD_SETLK, &lock), EAGAIN);
    lock = lock_of(F_RDLCK, 20, 1);
    specimen_equal(fcntl(one, F_OFD_SETLK, &lock), 0);
    lock = lock_of(F_WRLCK, 20, 1);
    files_fails(fcntl(one, F_OFD_SETLK, &lock), EAGAIN);
    specimen_equal(lock_holder(one, F_WRLCK, 5, 1), -1);
    close(other);
    lock = lock_of(F_WRLCK, 20, 1);
    specimen_equal(fcntl(one, F_OFD_SETLK, &lock), 0);
    return specimen_pass();
}
