/* specimen: 1,000 descriptors: files, pipes, duplicates | group: files | needs: nothing */
#include "files.h"

#include <sys/resource.h>

#ifndef COUNT
#define COUNT 250
#endif

int main(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < 4 * COUNT + 100) specimen_skip("not more than %lu descriptors allowed", (unsigned long)limit.rlim_max);
    limit.rlim_cur = 4 * COUNT + 100;
    setrlimit(RLIMIT_NOFILE, &limit);
    files_make("data", 10000, 1);
    int file[COUNT], twin[COUNT], ends[COUNT][2];
    for (int i = 0; i < COUNT; i++) {
        file[i] = open("data", O_RDONLY);
        specimen_check(file[i] >= 0 && lseek(file[i], i, SEEK_SET) == i);
        twin[i] = dup(file[i]);
        specimen_equal(pipe(ends[i]), 0);
        specimen_equal(write(ends[i][1], &i, sizeof i), sizeof i);
    }

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < COUNT; i++) {
        int number = -1;
        specimen_equal(files_offset(twin[i]), i);
        specimen_equal(lseek(file[i], 5000 + i, SEEK_SET), 5000 + i);
        specimen_equal(files_offset(twin[i]), 5000 + i);
        specimen_equal(read(ends[i][0], &number, sizeof number), sizeof number);
        specimen_equal(number, i);
    }
    specimen_equal(files_names("/proc/self/fd"), 3 + 4 * COUNT + 1);
    return specimen_pass();
}
