/* specimen: pipe in packet mode (O_DIRECT): message boundaries kept | group: files | needs: nothing */
#include "files.h"

int main(void) {
    static const size_t sizes[] = {10, 1, 4096, 100};
    int ends[2];
    specimen_equal(pipe2(ends, O_DIRECT), 0);
    for (int i = 0; i < 4; i++) files_write(ends[1], sizes[i], i + 1, 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(files_flags(ends[1]), O_WRONLY | O_DIRECT);
    char bytes[8192];
    for (int i = 0; i < 4; i++) {
        specimen_equal(read(ends[0], bytes, sizeof bytes), sizes[i]);
        memory_check(bytes, sizes[i], i + 1);
    }
    files_write(ends[1], 20, 9, 0), files_write(ends[1], 30, 10, 0);
    specimen_equal(read(ends[0], bytes, sizeof bytes), 20);
    specimen_equal(read(ends[0], bytes, 5), 5); /* the rest of a packet is thrown away, pipe(2) */
    specimen_equal(files_unread(ends[0]), 0);
    return specimen_pass();
}
