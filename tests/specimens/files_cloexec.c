/* specimen: close-on-exec kept per descriptor, also where two share one description | group: files | needs: nothing */
#include "files.h"

int main(void) {
    files_make("data", 1000, 1);
    files_open_at(3, "data", O_RDONLY | O_CLOEXEC);
    files_open_at(4, "data", O_RDONLY);
    specimen_equal(dup3(3, 5, 0), 5);
    specimen_equal(dup3(4, 6, O_CLOEXEC), 6);

    specimen_ready();
    specimen_wait();

    for (int fd = 0; fd <= 6; fd++) specimen_equal(fcntl(fd, F_GETFD), fd == 3 || fd == 6 ? FD_CLOEXEC : 0);
    return specimen_pass();
}
