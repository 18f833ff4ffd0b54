/* specimen: the program executes itself afterwards: close-on-exec descriptors go, the others stay | group: files | needs: nothing */
#include "files.h"

static int after_exec(void) {
    specimen_equal(files_is_open(3), 0);
    specimen_equal(files_is_open(4), 1);
    specimen_equal(files_is_open(5), 0);
    files_expect(4, 600, 1, 400);
    return specimen_pass();
}

int main(int argc, char **argv) {
    if (argc > 1) return after_exec();
    files_make("data", 1000, 1);
    files_open_at(3, "data", O_RDONLY | O_CLOEXEC);
    files_open_at(4, "data", O_RDONLY);
    lseek(4, 400, SEEK_SET);

    specimen_ready();
    specimen_wait();

    char *const arguments[] = {argv[0], "after", NULL};
    execv("/proc/self/exe", arguments);
    specimen_fail("execv: %s", strerror(errno));
}
