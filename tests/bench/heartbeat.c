/* heartbeat MIB FILE [OPTION...]: holds MIB of incompressible memory, and keeps telling in FILE (mapped, shared) how it
 * goes, in words of 64 bits; times are of CLOCK_MONOTONIC, in ns:
 *
 *   0     beats
 *   1, 2  the longest time between two beats, and when it ended; whoever sets 1 to 0 starts anew
 *   3     set it to N: forks, and lets the child live for N - 1 ms; 0 when that has ended
 *   4     set it to N: changes one word in each of N pages that lie scattered, and makes it 0
 *   5     how many slow writes (of more than 100 us) there have been; whoever sets it to 0 starts anew
 *   6, 7  what the fork took, and when it ended
 *   64... when each of the first 100 of them began, what it took, and how often another thread got the CPU meanwhile
 *
 * Options: huge (the memory is of huge pages), write=MB (another thread dirties so many MB of pages each second),
 * reserved=GIB (as much PROT_NONE more), untouched=GIB (as much writable memory more that is never used). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, HUGE = 2 << 20, SLOW = 100000, NOTED = 100 };

static volatile uint64_t *beat;
static char *memory;
static size_t size;

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static uint64_t next(uint64_t *seed) {
    *seed ^= *seed << 13, *seed ^= *seed >> 7, *seed ^= *seed << 17;
    return *seed;
}

static long preemptions(void) {
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
}

/* Writes a millisecond's worth of pages in each millisecond; what was missed while it stood still is not made up for. */
static void *writer(void *rate) {
    uint64_t seed = 88172645463325252ull, pages = (uintptr_t)rate * 1000 / PAGE, due = now();
    for (;;) {
        for (uint64_t page = 0; page < pages; page++) {
            volatile uint64_t *word = (void *)(memory + next(&seed) % (size / PAGE) * PAGE);
            long before = preemptions();
            uint64_t start = now();
            *word += 1;
            uint64_t took = now() - start;
            if (took < SLOW) continue;
            if (beat[5] < NOTED) {
                volatile uint64_t *note = beat + 64 + 3 * beat[5];
                note[0] = start, note[1] = took, note[2] = preemptions() - before;
            }
            beat[5]++;
        }
        due += 1000000;
        if (due + 10000000 < now()) due = now();
        struct timespec until = {due / 1000000000, due % 1000000000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    }
    return rate;
}

static void *mapped(size_t bytes, int protection) {
    void *area = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED) _exit(1);
    return area;
}

int main(int count, char **words) {
    if (count < 3) return 2;
    size = strtoull(words[1], NULL, 10) << 20;
    memory = mapped(size + HUGE, PROT_READ | PROT_WRITE);
    uintptr_t rate = 0;
    for (int word = 3; word < count; word++) {
        char *number = strchr(words[word], '=');
        size_t gib = number ? strtoull(number + 1, NULL, 10) << 30 : 0;
        if (strcmp(words[word], "huge") == 0) {
            memory = (char *)(((uintptr_t)memory + HUGE - 1) & ~(uintptr_t)(HUGE - 1));
            if (size && madvise(memory, size, MADV_HUGEPAGE)) return 1;
        } else if (number && strncmp(words[word], "write=", 6) == 0) {
            rate = strtoull(number + 1, NULL, 10);
        } else if (number && strncmp(words[word], "reserved=", 9) == 0) {
            mapped(gib, PROT_NONE);
        } else if (number && strncmp(words[word], "untouched=", 10) == 0) {
            mapped(gib, PROT_READ | PROT_WRITE);
        } else {
            return 2;
        }
    }
    uint64_t seed = 88172645463325252ull;
    for (size_t i = 0; i < size / 8; i++) ((uint64_t *)memory)[i] = next(&seed);
    int fd = open(words[2], O_RDWR | O_CREAT, 0600);
    if (ftruncate(fd, PAGE)) return 1;
    beat = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    pthread_t thread;
    if (rate && pthread_create(&thread, NULL, writer, (void *)rate)) return 1;
    uint64_t last = 0, ends = 0;
    pid_t child = 0;
    for (;;) {
        uint64_t time = now();
        if (last && time - last > beat[1]) beat[1] = time - last, beat[2] = time;
        last = time;
        beat[0]++;
        if (beat[3] && !child) {
            struct timespec life = {(beat[3] - 1) / 1000, (beat[3] - 1) % 1000 * 1000000};
            child = fork();
            if (child == 0) {
                nanosleep(&life, NULL);
                _exit(0);
            }
            last = now();
            ends = last + life.tv_sec * 1000000000ull + life.tv_nsec;
            beat[6] = last - time, beat[7] = last;
        }
        if (child && time > ends) {
            waitpid(child, NULL, 0);
            child = last = beat[3] = 0;
        }
        if (beat[4]) {
            for (uint64_t page = 0; page < beat[4]; page++)
                *(uint64_t *)(memory + next(&seed) % (size / PAGE) * PAGE) += 1;
            last = beat[4] = 0;
        }
    }
}
