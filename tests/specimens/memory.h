/* Helpers of the memory specimens: patterns, access probes, and what /proc/self says about an address. */
#ifndef MEMORY_H
#define MEMORY_H

#include "specimen.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define PAGE 4096ul
#define MIB (1024ul * 1024ul)

/* The byte number *i* of pattern *seed*: incompressible, and no two pages of it are equal. */
static inline unsigned char memory_byte(uint64_t seed, size_t i) {
    uint64_t x = (seed << 40) + i / 8 + 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (unsigned char)((x ^ (x >> 31)) >> (i % 8 * 8));
}

static inline void memory_fill(void *start, size_t size, uint64_t seed) {
    unsigned char *bytes = start;
    for (size_t i = 0; i < size; i++) bytes[i] = memory_byte(seed, i);
}

/* Offset of the first byte that is not the pattern's, or -1. */
static inline long memory_difference(const void *start, size_t size, uint64_t seed) {
    const unsigned char *bytes = start;
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != memory_byte(seed, i)) return (long)i;
    return -1;
}

static inline long memory_nonzero(const void *start, size_t size) {
    const unsigned char *bytes = start;
    for (size_t i = 0; i < size; i++)
        if (bytes[i]) return (long)i;
    return -1;
}

#define memory_check(start, size, seed) specimen_equal(memory_difference(start, size, seed), -1)
#define memory_check_zero(start, size) specimen_equal(memory_nonzero(start, size), -1)

/* Private anonymous memory, where the kernel likes. */
static inline void *memory_anonymous(size_t size, int protection) {
    void *memory = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    specimen_check(memory != MAP_FAILED);
    return memory;
}

/* A new file *name* of *size* bytes of the pattern, open for reading and writing. */
static inline int memory_file(const char *name, size_t size, uint64_t seed) {
    int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    specimen_check(fd >= 0);
    unsigned char *bytes = malloc(size + 1);
    specimen_check(bytes);
    memory_fill(bytes, size, seed);
    specimen_equal(pwrite(fd, bytes, size, 0), size);
    free(bytes);
    return fd;
}

/* Undo: bytes *from* to *from + size* of the pattern again. The same image may be restarted a second time, against
 * the files that the first time has left. */
static inline void memory_file_put_back(int fd, size_t from, size_t size, uint64_t seed) {
    for (size_t i = from; i < from + size; i++) {
        unsigned char byte = memory_byte(seed, i);
        specimen_equal(pwrite(fd, &byte, 1, i), 1);
    }
}

static inline void *memory_map_file(int fd, size_t size, int protection, int flags, off_t offset) {
    void *memory = mmap(NULL, size, protection, flags, fd, offset);
    specimen_check(memory != MAP_FAILED);
    return memory;
}

/* The signal that reading (or writing back) the byte at *address* raises: 0, SIGSEGV or SIGBUS. */
static sigjmp_buf memory_probe_home __attribute__((unused));
static inline void memory_probe_handler(int number) { siglongjmp(memory_probe_home, number); }
static inline int memory_probe(volatile void *address, int write) {
    struct sigaction action = {.sa_handler = memory_probe_handler}, segv, bus;
    sigaction(SIGSEGV, &action, &segv);
    sigaction(SIGBUS, &action, &bus);
    int number = sigsetjmp(memory_probe_home, 1);
    if (number == 0) {
        volatile char *byte = address;
        if (write) *byte = 'w';
        else (void)*byte;
    }
    sigaction(SIGSEGV, &segv, NULL);
    sigaction(SIGBUS, &bus, NULL);
    return number;
}

/* What /proc/self/smaps says of the mapping around an address (proc_pid_smaps(5)). */
struct memory_area {
    unsigned long start, end, offset, inode;
    long key;          /* ProtectionKey, -1 if the line is absent */
    unsigned long rss; /* KiB */
    char protection[8], path[512], flags[256];
};

static inline struct memory_area memory_area(const volatile void *address) {
    struct memory_area area = {.key = -1};
    char line[1024];
    int inside = 0;
    FILE *file = fopen("/proc/self/smaps", "r");
    specimen_check(file);
    while (fgets(line, sizeof line, file)) {
        unsigned long start, end, offset, inode;
        char protection[8];
        int path = 0;
        if (sscanf(line, "%lx-%lx %7s %lx %*x:%*x %lu %n", &start, &end, protection, &offset, &inode, &path) == 5) {
            if (inside) break;
            inside = (unsigned long)address >= start && (unsigned long)address < end;
            if (!inside) continue;
            area.start = start, area.end = end, area.offset = offset, area.inode = inode;
            strcpy(area.protection, protection);
            line[strcspn(line, "\n")] = 0;
            snprintf(area.path, sizeof area.path, "%.500s", line + path);
        } else if (inside) {
            sscanf(line, "ProtectionKey: %ld", &area.key);
            sscanf(line, "Rss: %lu", &area.rss);
            if (strncmp(line, "VmFlags: ", 9) == 0) snprintf(area.flags, sizeof area.flags, " %.250s", line + 9);
        }
    }
    fclose(file);
    specimen_check(inside);
    return area;
}

/* Whether smaps shows the two-letter VmFlag *flag* at *address*. */
static inline int memory_has_flag(const volatile void *address, const char *flag) {
    char wanted[8];
    snprintf(wanted, sizeof wanted, " %s ", flag);
    struct memory_area area = memory_area(address);
    area.flags[strcspn(area.flags, "\n")] = ' ';
    return strstr(area.flags, wanted) != NULL;
}

static inline int memory_ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* How many of *count* pages are in memory or swap: bits 63 and 62 of pagemap (admin-guide/mm/pagemap). */
static inline size_t memory_present(const void *start, size_t count) {
    size_t present = 0;
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    specimen_check(fd >= 0);
    for (size_t i = 0; i < count; i++) {
        uint64_t entry = 0;
        specimen_equal(pread(fd, &entry, sizeof entry, ((uintptr_t)start / PAGE + i) * sizeof entry), sizeof entry);
        present += (entry >> 62) != 0;
    }
    close(fd);
    return present;
}

/* A whole small file of /proc, in *buffer*; its length. */
static inline size_t memory_read_proc(const char *path, char *buffer, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    specimen_check(fd >= 0);
    size_t length = 0;
    for (ssize_t got; (got = read(fd, buffer + length, size - 1 - length)) > 0; length += got) {}
    close(fd);
    buffer[length] = 0;
    return length;
}

/* Body of the memory_madvise_* specimens: *advice* on the middle of a mapping with content; where smaps shows
 * it as *flag*; *use* is called at the end with the advised 16 pages, which hold pattern 1. */
/* What is advised may be there or, if a restart takes it away (MADV_WIPEONFORK), not: *use* then judges that. */
static inline int memory_madvise_specimen(int advice, const char *flag, void (*use)(char *advised)) {
    char *area = memory_anonymous(48 * PAGE, PROT_READ | PROT_WRITE);
    char *advised = area + 16 * PAGE;
    memory_fill(area, 16 * PAGE, 0);
    memory_fill(advised, 16 * PAGE, 1);
    if (madvise(advised, 16 * PAGE, advice) != 0 && errno == EINVAL) specimen_skip("madvise(%d) unknown here", advice);

    specimen_ready();
    specimen_wait();

    specimen_equal(memory_has_flag(area, flag), 0);
    specimen_equal(memory_has_flag(advised, flag), 1);
    specimen_equal(memory_has_flag(advised + 15 * PAGE, flag), 1);
    specimen_equal(memory_has_flag(advised + 16 * PAGE, flag), 0);
    memory_check(area, 16 * PAGE, 0);
    if (advice != MADV_WIPEONFORK) memory_check(advised, 16 * PAGE, 1);
    memory_check_zero(advised + 16 * PAGE, 16 * PAGE);
    if (use) use(advised);
    return specimen_pass();
}

/* For *use*: fork, and fail unless the child finds that *holds* of *advised*. */
static inline void memory_in_child(char *advised, int (*holds)(char *advised)) {
    pid_t pid = fork();
    if (pid == 0) _exit(holds(advised) ? 0 : 1);
    int status = 0;
    specimen_equal(waitpid(pid, &status, 0), pid);
    specimen_equal(status, 0);
}

#endif
