/* A forest that grows from a seed: processes that fork, end, lead sessions and groups, make and enter PID namespaces.
 *
 *     forest SEED STEPS
 *
 * The root directs: it draws who does what, through one slot of shared memory for each process, one step after the
 * other. When everybody sleeps it prints "ready". What came of it the test sees in /proc. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOTS 40
enum act { FORK, NAMESPACE, UNSHARE, ENTER, SETSID, GROUP, JOIN, PUT, END, REAP, THREAD, SUBREAPER, ACTS };

struct slot {
    sem_t go, done;
    enum act act;
    int argument; /* FORK, NAMESPACE: slot of the child; ENTER: a PID; END: status */
    int ok;
    pid_t pid;    /* as the root's /proc has it */
    pid_t last;   /* the youngest child, as it is called here */
    int alive, level, space, next; /* space: number of its PID namespace; next: of that of its children */
    int first, parent;
};
static struct slot *slots;
static int used = 1, spaces = 1;
static struct { int outer, entered, first; } space[SLOTS + 1];

static unsigned long long state;
static unsigned draw(unsigned below) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(state >> 33) % below;
}

static void *sleeper(void *nothing) {
    for (;;) pause();
    return nothing;
}

static pid_t own_pid(void) { /* in the namespace of the mounted /proc */
    char text[32] = "";
    if (readlink("/proc/self", text, sizeof text - 1) < 0) _exit(2);
    return atoi(text);
}

static void live(int number);

static int bear(struct slot *me, int child, unsigned long flags) {
    pid_t pid = (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    if (pid < 0) return 0;
    if (pid == 0) live(child);
    me->last = pid;
    while (sem_wait(&slots[child].done) != 0) {}
    return 1;
}

static int perform(struct slot *me) {
    char path[64];
    int fd, ok;
    pthread_t thread;
    switch (me->act) {
    case FORK: return bear(me, me->argument, 0);
    case NAMESPACE: return bear(me, me->argument, CLONE_NEWPID);
    case UNSHARE: return unshare(CLONE_NEWPID) == 0;
    case ENTER:
        snprintf(path, sizeof path, "/proc/%d/ns/pid", me->argument);
        if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0) return 0;
        ok = setns(fd, CLONE_NEWPID) == 0;
        close(fd);
        return ok;
    case SETSID: return setsid() > 0;
    case GROUP: return setpgid(0, 0) == 0;
    case JOIN: return setpgid(0, getpgid(getppid())) == 0;
    case PUT: return setpgid(me->last, getpgrp()) == 0;
    case END: sem_post(&me->done); _exit(me->argument);
    case REAP: return waitpid(-1, NULL, WNOHANG) > 0;
    case THREAD: return pthread_create(&thread, NULL, sleeper, NULL) == 0;
    case SUBREAPER: return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0;
    default: return 0;
    }
}

static void live(int number) {
    struct slot *me = &slots[number];
    me->pid = own_pid();
    me->last = -1;
    sem_post(&me->done);
    for (;;) {
        while (sem_wait(&me->go) != 0) {}
        me->ok = perform(me);
        sem_post(&me->done);
    }
}

static char state_of(pid_t pid) {
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 'X';
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    return got <= 0 ? 'X' : strrchr(text, ')')[2];
}

static int tell(int number, enum act act, int argument) {
    struct slot *it = &slots[number];
    it->act = act;
    it->argument = argument;
    if (number == 0) return it->ok = perform(it);
    sem_post(&it->go);
    while (sem_wait(&it->done) != 0) {}
    return it->ok;
}

static int within(int inner, int outer) {
    for (; inner != outer; inner = space[inner].outer)
        if (inner == 0) return 0;
    return 1;
}

/* The first process of a namespace takes all others in there along. */
static void bury(int number) {
    for (int other = 1; other < used; other++) {
        int gone = other == number || (slots[number].first && within(slots[other].space, slots[number].space));
        if (!slots[other].alive || !gone) continue;
        slots[other].alive = 0;
        while (!strchr("ZX", state_of(slots[other].pid))) sched_yield();
    }
}

static void newborn(int parent, int fresh) {
    struct slot *it = &slots[used], *its = &slots[parent];
    it->alive = 1;
    it->first = fresh;
    it->space = it->next = fresh ? spaces : its->next;
    it->level = fresh ? its->level + 1 : slots[space[it->space].first].level;
    it->parent = parent;
    if (fresh) {
        space[spaces].outer = its->space;
        space[spaces].first = used;
        if (its->next == -1) its->next = spaces, space[spaces].entered = 1;
        spaces++;
    }
    used++;
}

static void step(void) {
    int who = draw(used), argument = draw(200);
    enum act act = draw(ACTS + 6);
    struct slot *it = &slots[who];
    if (!it->alive) return;
    if (act >= ACTS) act = FORK;
    int other = draw(used);
    switch (act) {
    case FORK:
    case NAMESPACE:
        if (used == SLOTS) return;
        if (act == NAMESPACE && (it->next != it->space || it->level > 4)) return;
        argument = used;
        if (tell(who, act, argument)) newborn(who, act == NAMESPACE || it->next == -1);
        return;
    case UNSHARE:
        if (who == 0 || it->next != it->space || it->level > 4) return;
        if (tell(who, act, 0)) it->next = -1;
        return;
    case ENTER:
        if (!slots[other].alive || it->next == -1 || !within(slots[other].space, it->space)) return;
        if (tell(who, act, slots[other].pid)) {
            it->next = slots[other].space;
            for (int up = it->next; up != it->space; up = space[up].outer) space[up].entered = 1;
        }
        return;
    case THREAD:
        if (it->next != it->space) return;
        break;
    case END:
        if (who == 0 || (it->first && space[it->space].entered)) return;
        for (int number = 1; number < used && it->first; number++)  /* nor where some inner one is entered */
            if (space[slots[number].space].entered && within(slots[number].space, it->space)) return;
        tell(who, act, argument);
        bury(who);
        return;
    default: break;
    }
    tell(who, act, argument);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    state = strtoull(argv[1], NULL, 10) * 2654435761u + 88172645463325252ULL;
    slots = mmap(NULL, SLOTS * sizeof *slots, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (slots == MAP_FAILED) return 2;
    for (int i = 0; i < SLOTS; i++) sem_init(&slots[i].go, 1, 0), sem_init(&slots[i].done, 1, 0);
    slots[0] = (struct slot){.alive = 1, .pid = own_pid(), .level = 1, .last = -1};
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    for (int steps = atoi(argv[2]); steps > 0; steps--) step();
    for (int i = 1; i < used; i++)
        if (slots[i].alive && draw(8) == 0) {
            kill(slots[i].pid, SIGSTOP);
            while (state_of(slots[i].pid) != 'T') sched_yield();
        }
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}
