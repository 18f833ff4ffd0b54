/* Helpers of the files specimens: files with a pattern, and what the kernel says about a descriptor. */
#ifndef FILES_H
#define FILES_H

#include "memory.h"

#include <dirent.h>
#include <poll.h>
#include <sys/ioctl.h>

/* Open *name*, at descriptor number *wanted*. */
static inline int files_open_at(int wanted, const char *name, int flags) {
    int fd = open(name, flags, 0644);
    specimen_check(fd >= 0);
    if (fd != wanted) {
        specimen_equal(dup3(fd, wanted, flags & O_CLOEXEC), wanted);
        close(fd);
    }
    return wanted;
}

/* A closed file *name* of *size* bytes of the pattern. */
static inline void files_make(const char *name, size_t size, uint64_t seed) { close(memory_file(name, size, seed)); }

static inline off_t files_offset(int fd) { return lseek(fd, 0, SEEK_CUR); }

static inline int files_is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

/* Status flags and access mode, without the kernel's O_LARGEFILE, which 64-bit programs always have and glibc
 * calls 0. */
#if defined(__aarch64__)
#define FILES_LARGE 0400000
#else
#define FILES_LARGE 0100000
#endif
static inline int files_flags(int fd) {
    int flags = fcntl(fd, F_GETFL);
    specimen_check(flags >= 0);
    return flags & ~FILES_LARGE;
}

static inline struct stat files_stat(int fd) {
    struct stat status;
    specimen_equal(fstat(fd, &status), 0);
    return status;
}

/* Where /proc/self/fd says the descriptor leads. */
static inline const char *files_link(int fd) {
    static char text[4096];
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(path, text, sizeof text - 1);
    specimen_check(length > 0);
    text[length] = 0;
    return text;
}

/* The next *size* bytes of *fd* are those of the pattern from *from* on. */
static inline void files_expect(int fd, size_t size, uint64_t seed, size_t from) {
    unsigned char *bytes = malloc(size);
    size_t got = 0;
    while (got < size) {
        ssize_t more = read(fd, bytes + got, size - got);
        specimen_check(more > 0);
        got += more;
    }
    for (size_t i = 0; i < size; i++) specimen_equal(bytes[i], memory_byte(seed, from + i));
    free(bytes);
}

/* The next *size* bytes of the pattern from *from* on, to *fd*, in one call. */
static inline void files_write(int fd, size_t size, uint64_t seed, size_t from) {
    unsigned char *bytes = malloc(size);
    for (size_t i = 0; i < size; i++) bytes[i] = memory_byte(seed, from + i);
    specimen_equal(write(fd, bytes, size), size);
    free(bytes);
}

/* The bytes of *fd* at *from* are *text*, whatever the offset is. */
static inline void files_expect_at(int fd, off_t from, const char *text) {
    char bytes[256] = "";
    size_t size = strlen(text);
    specimen_equal(pread(fd, bytes, size, from), size);
    if (memcmp(bytes, text, size)) specimen_fail("at %lld: \"%s\", not \"%s\"", (long long)from, bytes, text);
}

static inline int files_unread(int fd) {
    int bytes = -1;
    specimen_equal(ioctl(fd, FIONREAD, &bytes), 0);
    return bytes;
}

static inline int files_poll(int fd) {
    struct pollfd entry = {.fd = fd, .events = POLLIN | POLLOUT};
    specimen_check(poll(&entry, 1, 0) >= 0);
    return entry.revents;
}

/* How many names, besides "." and "..", are in the folder *path*. */
static inline int files_names(const char *path) {
    int names = 0;
    DIR *folder = opendir(path);
    specimen_check(folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        names += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
    closedir(folder);
    return names;
}

/* *call* returns -1 with errno *number*. */
#define files_fails(call, number) do { \
        errno = 0; \
        specimen_equal((call), -1); \
        specimen_equal(errno, number); \
    } while (0)

#endif
