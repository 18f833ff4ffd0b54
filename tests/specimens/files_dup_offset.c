/* specimen: dup shares the offset and the status flags | group: files | needs: nothing */
#include "files.h"

int main(void) {
    files_make("data", 10000, 1);
    files_open_at(3, "data", O_RDWR);
    specimen_equal(dup2(3, 9), 9);
    specimen_equal(lseek(3, 1234, SEEK_SET), 1234);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_offset(9), 1234);
    files_expect(9, 1000, 1, 1234);
    specimen_equal(files_offset(3), 2234);
    specimen_equal(fcntl(3, F_SETFL, O_APPEND | O_NONBLOCK), 0);
    specimen_equal(files_flags(9), O_RDWR | O_APPEND | O_NONBLOCK);
    close(3);
    files_expect(9, 1000, 1, 2234);
    return specimen_pass();
}
