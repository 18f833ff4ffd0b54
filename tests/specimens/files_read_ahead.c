/* specimen: a file that is read at random (POSIX_FADV_RANDOM), of which nothing is read ahead, beside one that is not | group: files | needs: bpf */
#include "files.h"

enum { PAGES = 64 };

/* Reads a page through *fd* that is in no cache; how many pages have come in by that. */
static int read_in(int fd, const char *name) {
    int other = open(name, O_RDONLY);
    unsigned char present[PAGES], byte;
    specimen_equal(posix_fadvise(other, 0, 0, POSIX_FADV_DONTNEED), 0);
    specimen_equal(pread(fd, &byte, 1, 0), 1);
    specimen_equal(byte, memory_byte(7, 0));
    void *mapping = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, other, 0);
    specimen_check(mapping != MAP_FAILED);
    specimen_equal(mincore(mapping, PAGES * PAGE, present), 0);
    munmap(mapping, PAGES * PAGE);
    close(other);
    int count = 0;
    for (int page = 0; page < PAGES; page++) count += present[page] & 1;
    return count;
}

int main(void) {
    files_make("random", PAGES * PAGE, 7);
    files_make("plain", PAGES * PAGE, 7);
    sync();
    int fd = files_open_at(20, "random", O_RDONLY), plain = files_open_at(21, "plain", O_RDONLY);
    specimen_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), 0);
    if (read_in(fd, "random") != 1) specimen_skip("this file system cannot be told how it is read");
    if (read_in(plain, "plain") == 1) specimen_skip("this file system reads nothing ahead");

    specimen_ready();
    specimen_wait();

    specimen_equal(read_in(fd, "random"), 1);
    specimen_check(read_in(plain, "plain") > 1);
    return specimen_pass();
}
