/* specimen: files whose names hold blanks, line ends, quotes, bytes that are no UTF-8, and " (deleted)" | group: files | needs: nothing */
#include "files.h"

int main(void) {
    static const char *const names[] = {"a b", "line\nend", "tab\tand \\ and \"quotes\"", "\xff\xfe\x80",
                                        "x (deleted)", "\\040"};
    enum { COUNT = sizeof names / sizeof *names };
    char *mapped[COUNT];
    for (int i = 0; i < COUNT; i++) {
        files_make(names[i], PAGE, i + 1);
        int fd = files_open_at(3 + i, names[i], O_RDWR);
        lseek(fd, 100 + i, SEEK_SET);
        mapped[i] = memory_map_file(fd, PAGE, PROT_READ, MAP_SHARED, 0);
    }

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < COUNT; i++) {
        specimen_check(memory_ends_with(files_link(3 + i), names[i]));
        files_expect(3 + i, 100, i + 1, 100 + i);
        memory_check(mapped[i], PAGE, i + 1);
        specimen_equal(files_stat(3 + i).st_nlink, 1);
    }
    return specimen_pass();
}
