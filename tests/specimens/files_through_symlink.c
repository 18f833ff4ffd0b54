/* specimen: file opened through a symbolic link that leads elsewhere by now | group: files | needs: nothing */
#include "files.h"

int main(void) {
    files_make("one", 1000, 1), files_make("two", 1000, 2);
    specimen_equal(symlink("one", "link"), 0);
    files_open_at(3, "link", O_RDONLY);
    specimen_check(unlink("link") == 0 && symlink("two", "link") == 0);
    lseek(3, 10, SEEK_SET);

    specimen_ready();
    specimen_wait();

    files_expect(3, 990, 1, 10);
    specimen_check(memory_ends_with(files_link(3), "/one"));
    return specimen_pass();
}
