/* specimen: status flags O_SYNC, O_DSYNC, O_DIRECT, O_NOATIME, O_NONBLOCK | group: files | needs: nothing */
#include "files.h"

int main(void) {
    static const int flags[] = {O_RDWR | O_SYNC, O_WRONLY | O_DSYNC, O_RDONLY | O_NOATIME, O_RDONLY | O_NONBLOCK,
                                O_RDWR | O_APPEND | O_NONBLOCK | O_NOATIME};
    enum { COUNT = sizeof flags / sizeof *flags };
    files_make("data", 8192, 1);
    for (int i = 0; i < COUNT; i++) files_open_at(3 + i, "data", flags[i]);
    int direct = open("data", O_RDWR | O_DIRECT); /* EINVAL on file systems that cannot */
    int direct_flags = direct >= 0 ? files_flags(direct) : 0;

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < COUNT; i++) specimen_equal(files_flags(3 + i), flags[i]);
    if (direct >= 0) {
        specimen_equal(files_flags(direct), direct_flags);
        void *aligned = memory_anonymous(8192, PROT_READ | PROT_WRITE);
        specimen_equal(read(direct, aligned, 4096), 4096);
        memory_check(aligned, 4096, 1);
    }
    return specimen_pass();
}
