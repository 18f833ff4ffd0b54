/* specimen: pipe full after 16 writes of a few bytes: every slot taken | group: files | needs: nothing */
#include "files.h"

int main(void) {
    int ends[2];
    specimen_equal(pipe2(ends, O_NONBLOCK | O_DIRECT), 0); /* packet mode: no two writes share a slot */
    int count = 0;
    while (write(ends[1], "0123456789abcdef" + count % 16, 1) == 1) count++;
    specimen_equal(errno, EAGAIN);

    specimen_ready();
    specimen_wait();

    files_fails(write(ends[1], "x", 1), EAGAIN);
    specimen_equal(files_unread(ends[0]), count);
    for (int i = 0; i < count; i++) {
        char bytes[16];
        specimen_equal(read(ends[0], bytes, sizeof bytes), 1);
        specimen_equal(bytes[0], "0123456789abcdef"[i % 16]);
    }
    return specimen_pass();
}
