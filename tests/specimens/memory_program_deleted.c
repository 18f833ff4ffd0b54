/* specimen: program whose own executable file is deleted while it runs | group: memory | needs: nothing */
#include "memory.h"

static char big[64 * PAGE] = "initialised data, still in the file";

static void copy_myself(const char *to) {
    static char buffer[65536];
    int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    specimen_check(in >= 0 && out >= 0);
    for (ssize_t got; (got = read(in, buffer, sizeof buffer)) > 0;) specimen_equal(write(out, buffer, got), got);
    close(in), close(out);
}

int main(int argc, char **argv) {
    if (argc == 1) {
        copy_myself("copy");
        execl("copy", argv[0], "again", NULL);
        specimen_fail("execl: errno %d", errno);
    }
    specimen_equal(unlink("copy"), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(strcmp(big, "initialised data, still in the file"), 0);
    memory_check_zero(big + PAGE, sizeof big - PAGE);
    char link[512] = "";
    specimen_check(readlink("/proc/self/exe", link, sizeof link - 1) > 0);
    specimen_check(memory_ends_with(link, " (deleted)"));
    specimen_check(access("copy", F_OK) != 0);
    int fd = open("/proc/self/exe", O_RDONLY);
    specimen_check(fd >= 0 && read(fd, link, 4) == 4 && memcmp(link, "\177ELF", 4) == 0);
    return specimen_pass();
}
