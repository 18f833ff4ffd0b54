/* specimen: open files of /proc and /sys that are of no process | group: objects | needs: nothing */
#include "files.h"

int main(void) {
    char before[16], after[16];
    int version = open("/proc/version", O_RDONLY), online = open("/sys/devices/system/cpu/online", O_RDONLY);
    int limit = open("/proc/sys/kernel/pid_max", O_RDONLY | O_CLOEXEC);
    specimen_check(version >= 0 && online >= 0 && limit >= 0);
    specimen_equal(pread(version, before, 16, 6), 16);
    specimen_equal(lseek(version, 6, SEEK_SET), 6);

    specimen_ready();
    specimen_wait();

    specimen_equal(read(version, after, 16), 16);
    specimen_equal(memcmp(before, after, 16), 0);
    specimen_check(read(online, after, 16) > 0 && after[0] == '0');
    specimen_check(read(limit, after, 16) > 0);
    specimen_equal(fcntl(limit, F_GETFD), FD_CLOEXEC);
    return specimen_pass();
}
