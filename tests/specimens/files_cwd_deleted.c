/* specimen: current folder that is deleted | group: files | needs: nothing */
#include "files.h"

int main(void) {
    specimen_check(mkdir("folder", 0755) == 0 && chdir("folder") == 0 && rmdir("../folder") == 0);

    specimen_ready();
    specimen_wait();

    char path[4096];
    specimen_check(getcwd(path, sizeof path) == NULL && errno == ENOENT);
    ssize_t length = readlink("/proc/self/cwd", path, sizeof path - 1);
    specimen_check(length > 0);
    path[length] = 0;
    specimen_check(memory_ends_with(path, "/folder (deleted)"));
    files_fails(open("new", O_RDWR | O_CREAT, 0644), ENOENT);
    return specimen_pass();
}
