/* specimen: descriptors 0 and 2 closed | group: files | needs: nothing */
#include "files.h"

int main(void) {
    close(0), close(2);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_is_open(0), 0);
    specimen_equal(files_is_open(1), 1);
    specimen_equal(files_is_open(2), 0);
    specimen_equal(open("/dev/null", O_RDONLY), 0);
    specimen_equal(open("/dev/null", O_RDONLY), 2);
    return specimen_pass();
}
