/* specimen: two opens of one file do not share the offset | group: files | needs: nothing */
#include "files.h"

int main(void) {
    files_make("data", 10000, 1);
    files_open_at(3, "data", O_RDWR);
    files_open_at(4, "data", O_RDWR);
    /* The same offset on purpose: nothing but kcmp(2) tells this from a dup. */
    lseek(3, 1234, SEEK_SET), lseek(4, 1234, SEEK_SET);

    specimen_ready();
    specimen_wait();

    files_expect(3, 1000, 1, 1234);
    specimen_equal(files_offset(4), 1234);
    specimen_equal(fcntl(4, F_SETFL, O_APPEND), 0);
    specimen_equal(files_flags(3), O_RDWR);
    specimen_equal(files_stat(3).st_ino, files_stat(4).st_ino);
    return specimen_pass();
}
