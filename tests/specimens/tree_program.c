/* specimen: /proc/PID/exe: the root's program, and a child that executes another one | group: tree | needs: nothing */
#include "program.h"

int main(int argc, char **argv) {
    program_main(argc, argv);
    char own[4096], its[4096];
    struct stat before, after;
    strcpy(own, program_link(getpid()));
    specimen_equal(stat("/proc/self/exe", &before), 0);
    program_copy("another");
    int tell;
    pid_t child = program_start("./another", &tell);
    strcpy(its, program_link(child));

    specimen_ready();
    specimen_wait();

    specimen_equal_text(program_link(getpid()), own);
    specimen_equal_text(program_link(child), its);
    specimen_equal(stat("/proc/self/exe", &after), 0);
    specimen_check(before.st_ino == after.st_ino && before.st_dev == after.st_dev);
    /* The kernel itself holds the file as a program. */
    specimen_equal(open("another", O_WRONLY), -1);
    specimen_equal(errno, ETXTBSY);
    specimen_equal_text(task_status(child, "Name"), "another");
    program_end(child, tell);
    return specimen_pass();
}
