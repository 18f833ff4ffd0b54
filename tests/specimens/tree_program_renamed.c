/* specimen: /proc/PID/exe of a program whose file was renamed | group: tree | needs: nothing */
#include "program.h"

int main(int argc, char **argv) {
    program_main(argc, argv);
    program_copy("old name");
    int tell;
    pid_t child = program_start("./old name", &tell);
    specimen_equal(rename("old name", "new name"), 0);
    char before[4096];
    strcpy(before, program_link(child));
    specimen_check(strstr(before, "/new name"));

    specimen_ready();
    specimen_wait();

    specimen_equal_text(program_link(child), before);
    specimen_equal_text(task_status(child, "Name"), "old name");
    program_end(child, tell);
    return specimen_pass();
}
