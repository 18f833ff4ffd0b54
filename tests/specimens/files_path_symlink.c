/* specimen: O_PATH descriptor of a symbolic link itself, also of one that leads nowhere | group: files | needs: nothing */
#include "files.h"

static void expect(int fd, const char *target) {
    char text[64] = "";
    specimen_check(S_ISLNK(files_stat(fd).st_mode));
    specimen_equal(readlinkat(fd, "", text, sizeof text - 1), strlen(target));
    specimen_equal(strcmp(text, target), 0);
}

int main(void) {
    files_make("data", 1000, 1);
    specimen_check(symlink("data", "link") == 0 && symlink("nowhere", "dangling") == 0);
    files_open_at(3, "link", O_PATH | O_NOFOLLOW);
    files_open_at(4, "dangling", O_PATH | O_NOFOLLOW);

    specimen_ready();
    specimen_wait();

    expect(3, "data");
    expect(4, "nowhere");
    return specimen_pass();
}
