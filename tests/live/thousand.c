/* A tree of 1,000 processes: a root, 9 below it, 90 below these, 900 leaves.
 *
 * Among them are leaders of sessions and groups, members of groups, first processes of PID namespaces, and zombies.
 * When all are there the root prints "ready". Then each who gets a SIGUSR1 looks whether it is who it was, and whose
 * child, and is counted if so; by SIGTERM the root prints the count. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct { int born, right; } *count;
static int number = 1000;
static pid_t self, parent, group, session;

static void look(int signal) {
    (void)signal;
    if (getpid() == self && getppid() == parent && getpgrp() == group && getsid(0) == session)
        __atomic_add_fetch(&count->right, 1, __ATOMIC_SEQ_CST);
}

static void tell(int signal) {
    (void)signal;
    char text[32];
    int length = snprintf(text, sizeof text, "%d\n", count->right);
    if (write(1, text, (size_t)length) != length) _exit(3);
}

static void rest(void) {
    self = getpid(), parent = getppid(), group = getpgrp(), session = getsid(0);
    struct sigaction action = {.sa_handler = look, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    __atomic_add_fetch(&count->born, 1, __ATOMIC_SEQ_CST);
    for (;;) pause();
}

static void leaf(int place) {
    if (place == 1) setsid();
    if (place == 2 || place == 5) setpgid(0, 0); /* the latter before its parent does, or after, as a shell's job */
    if (place == 9) {
        __atomic_add_fetch(&count->born, 1, __ATOMIC_SEQ_CST);
        _exit(number % 256);
    }
    rest();
}

static void bear(int level, int children) {
    for (int place = 0; place < children; place++) {
        unsigned long flags = level == 1 && place % 5 == 4 ? CLONE_NEWPID : 0;
        pid_t pid = (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
        if (pid < 0) _exit(2);
        if (pid == 0) {
            number = number * 10 + place;
            if (level == 2) leaf(place);
            if (level == 1 && place % 3 == 0) setsid();
            bear(level + 1, 10);
            if (level == 1 && place % 3 == 1) setsid();
            rest();
        }
        if (level == 2 && place == 5) setpgid(pid, pid);
    }
}

int main(void) {
    count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bear(0, 9);
    while (__atomic_load_n(&count->born, __ATOMIC_SEQ_CST) < 999) usleep(10000);
    struct sigaction action = {.sa_handler = tell, .sa_flags = SA_RESTART};
    sigaction(SIGTERM, &action, NULL);
    puts("ready");
    fflush(stdout);
    rest();
}
