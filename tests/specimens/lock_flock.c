/* specimen: flock for one alone, and a shared one, each of an open file | group: files | needs: nothing */
#include "locks.h"

int main(void) {
    int alone = files_open_at(20, "alone", O_RDWR | O_CREAT), shared = files_open_at(21, "shared", O_RDONLY | O_CREAT);
    specimen_equal(flock(alone, LOCK_EX), 0);
    specimen_equal(flock(shared, LOCK_SH), 0);

    specimen_ready();
    specimen_wait();

    int second = open("alone", O_RDONLY), third = open("shared", O_RDONLY);
    files_fails(flock(second, LOCK_SH | LOCK_NB), EWOULDBLOCK);
    specimen_equal(flock(third, LOCK_SH | LOCK_NB), 0);
    files_fails(flock(third, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    close(shared);
    specimen_equal(flock(third, LOCK_EX | LOCK_NB), 0);
    specimen_equal(flock(alone, LOCK_UN), 0);
    specimen_equal(flock(second, LOCK_EX | LOCK_NB), 0);
    return specimen_pass();
}
