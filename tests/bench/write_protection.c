/* write_protection MIB [huge]: what a bare fork costs a process, beside write protection of the same memory by a
 * userfaultfd, which is the other way to copy memory while its owner goes on writing to it. For both: how long the owner
 * stands still (the fork; UFFDIO_WRITEPROTECT of all), and 20,000 writes to random pages after that (the kernel copies
 * the page; a thread that waits for events copies it and lifts the protection), in all and the worst. Medians of five. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 5, WRITES = 20000, PAGE = 4096, HUGE = 2 << 20 };

struct cost {
    double stop, writes, worst; /* ms */
};

static int uffd;
static char *memory;
static size_t size;
static char copies[WRITES][PAGE];

static void need(int good, const char *what) {
    if (good) return;
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e3 + time.tv_nsec * 1e-6;
}

static void touch(void) {
    for (size_t offset = 0; offset < size; offset += PAGE) memory[offset]++;
}

static char *mapped(size_t bytes) {
    char *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    need(area != MAP_FAILED, "mmap");
    return area;
}

/* Writes to a huge page have split it in the round before; and the pages for copies must be there, as the host takes
 * free ones back. */
static void fresh(int huge) {
    need(!madvise(memory, size, MADV_DONTNEED), "MADV_DONTNEED");
    need(!madvise(memory, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE), "MADV_HUGEPAGE");
    touch();
    char *spare = mapped(2ul * WRITES * PAGE);
    memset(spare, 1, 2ul * WRITES * PAGE);
    munmap(spare, 2ul * WRITES * PAGE);
}

static struct cost written(double stop) {
    struct cost cost = {.stop = stop};
    double start = now();
    for (int number = 0; number < WRITES; number++) {
        double before = now();
        memory[random() % (size / PAGE) * PAGE]++;
        double took = now() - before;
        if (took > cost.worst) cost.worst = took;
    }
    cost.writes = now() - start;
    return cost;
}

static struct cost by_fork(void) {
    double start = now();
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    struct cost cost = written(now() - start);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return cost;
}

/* Copies the page of each event, and lets its writer go on; descriptor *end* tells it to end. */
static void *copier(void *end) {
    struct pollfd files[2] = {{uffd, POLLIN, 0}, {*(int *)end, POLLIN, 0}};
    for (int number = 0;;) {
        need(poll(files, 2, -1) > 0, "poll");
        struct uffd_msg event;
        if (files[0].revents && read(uffd, &event, sizeof event) == sizeof event) {
            uint64_t page = event.arg.pagefault.address & ~(uint64_t)(PAGE - 1);
            memcpy(copies[number++ % WRITES], (void *)page, PAGE);
            struct uffdio_writeprotect lift = {{page, PAGE}, 0};
            need(!ioctl(uffd, UFFDIO_WRITEPROTECT, &lift), "UFFDIO_WRITEPROTECT");
        } else if (files[1].revents) {
            return end;
        }
    }
}

static struct cost by_protection(void) {
    uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    need(uffd >= 0, "userfaultfd");
    struct uffdio_api api = {UFFD_API, UFFD_FEATURE_PAGEFAULT_FLAG_WP, 0};
    need(!ioctl(uffd, UFFDIO_API, &api), "UFFDIO_API");
    int end[2];
    need(!pipe(end), "pipe");
    pthread_t thread;
    need(!pthread_create(&thread, NULL, copier, end), "pthread_create");
    struct uffdio_register all = {{(uintptr_t)memory, size}, UFFDIO_REGISTER_MODE_WP, 0};
    struct uffdio_writeprotect protect = {{(uintptr_t)memory, size}, UFFDIO_WRITEPROTECT_MODE_WP};
    double start = now();
    need(!ioctl(uffd, UFFDIO_REGISTER, &all), "UFFDIO_REGISTER");
    need(!ioctl(uffd, UFFDIO_WRITEPROTECT, &protect), "UFFDIO_WRITEPROTECT");
    struct cost cost = written(now() - start);
    close(end[1]); /* POLLHUP */
    pthread_join(thread, NULL);
    close(end[0]);
    close(uffd);
    return cost;
}

static int compare(const void *one, const void *two) {
    return (*(double *)one > *(double *)two) - (*(double *)one < *(double *)two);
}

static double median(const struct cost *costs, size_t field) {
    double values[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) values[round] = *(double *)((char *)&costs[round] + field);
    qsort(values, ROUNDS, sizeof *values, compare);
    return values[ROUNDS / 2];
}

int main(int count, char **words) {
    if (count < 2 || count > 3 || (count == 3 && strcmp(words[2], "huge"))) return 2;
    int huge = count == 3;
    size = strtoull(words[1], NULL, 10) << 20;
    if (!size) return 2;
    memory = (char *)(((uintptr_t)mapped(size + HUGE) + HUGE - 1) & ~(uintptr_t)(HUGE - 1));
    memset(copies, 1, sizeof copies);
    struct cost forks[ROUNDS], protections[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        fresh(huge);
        forks[round] = by_fork();
        fresh(huge);
        protections[round] = by_protection();
    }
    struct cost *both[] = {forks, protections};
    for (int way = 0; way < 2; way++)
        printf("%6s MiB %-4s  %-10s  stands still %7.2f ms   %d writes %7.1f ms   worst %6.2f ms\n", words[1],
               huge ? "huge" : "", way ? "protection" : "fork", median(both[way], offsetof(struct cost, stop)), WRITES,
               median(both[way], offsetof(struct cost, writes)), median(both[way], offsetof(struct cost, worst)));
}
