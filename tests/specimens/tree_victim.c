/* specimen: threads and processes that check all that is theirs, all the time | group: tree | needs: nothing */
/* Besides SIGTERM: what is sent to the helper, a child with two threads, makes it do what a program may do at any
 * instant. SIGUSR1: a thread ends, SIGUSR2: a thread executes the program anew, SIGRTMIN: it forks, SIGRTMIN+1: it is in
 * the middle of vfork for a moment. Each deed, and each beginning of a helper, is a byte in the file "deeds". */
#include "victim.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <sys/time.h>
#include <sys/wait.h>

enum { COUNT = 3, WORDS = 65536 / 8, OFFSET = 1234 };
static volatile int end;
static volatile uint64_t turns[COUNT + 1];
static int file, pipes[2], clock_fd;
static timer_t timer;
static uint64_t *private_words, *shared_words;
static pid_t steady, helper;

static void fill(uint64_t *words, uint64_t salt) {
    for (int i = 0; i < WORDS; i++) words[i] = (i + salt) * 0x9E3779B97F4A7C15ull;
}

static void check_words(const uint64_t *words, uint64_t salt) {
    for (int i = 0; i < WORDS; i++)
        if (words[i] != (i + salt) * 0x9E3779B97F4A7C15ull) specimen_fail("word %d has changed", i);
}

static void *run(void *argument) {
    int number = (int)(long)argument;
    double x = 1.0;
    uint64_t h = number;
    victim_begin(number);
    while (!end) {
        victim_turn(&x, &h, number, 5000, number + 1);
        turns[number]++;
    }
    return NULL;
}

static void handler(int number) { (void)number; }

static void check_own(void) {
    struct itimerval itimer;
    struct itimerspec posix, fd;
    struct sigaction action;
    sigset_t pending;
    stack_t stack;
    int unread;
    check_words(private_words, 1);
    check_words(shared_words, 2);
    specimen_equal(lseek(file, 0, SEEK_CUR), OFFSET);
    specimen_equal(fcntl(file, F_GETFL) & (O_APPEND | O_NONBLOCK), O_APPEND);
    specimen_equal(fcntl(file, F_GETFD), FD_CLOEXEC);
    specimen_equal(ioctl(pipes[0], FIONREAD, &unread), 0);
    specimen_equal(unread, 5);
    specimen_equal(getitimer(ITIMER_REAL, &itimer), 0);
    specimen_check(itimer.it_value.tv_sec > 1000 && itimer.it_interval.tv_sec == 7777);
    specimen_equal(timer_gettime(timer, &posix), 0);
    specimen_check(posix.it_value.tv_sec > 1000 && posix.it_interval.tv_nsec == 55);
    specimen_equal(timerfd_gettime(clock_fd, &fd), 0);
    specimen_check(fd.it_value.tv_sec > 1000 && fd.it_interval.tv_nsec == 66);
    specimen_equal(sigaction(SIGUSR1, NULL, &action), 0);
    specimen_check(action.sa_handler == handler && sigismember(&action.sa_mask, SIGQUIT));
    specimen_equal(sigpending(&pending), 0);
    specimen_check(sigismember(&pending, SIGUSR2));
    specimen_equal(sigaltstack(NULL, &stack), 0);
    specimen_equal(stack.ss_flags, SS_DISABLE);
    siginfo_t info = {0};
    specimen_equal(waitid(P_PID, steady, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT), 0);
    specimen_equal(info.si_pid, 0);
}

/* -- the helper ------------------------------------------------------------------------------- */

static int deeds;

static void *work(void *argument) {
    sigset_t set = *(sigset_t *)argument;
    for (int number;;) {
        if (sigwait(&set, &number)) _exit(4);
        pid_t child = 0;
        pthread_t next;
        if (number == SIGUSR1) {
            if (pthread_create(&next, NULL, work, argument)) _exit(5);
            pthread_detach(next);
        } else if (number == SIGUSR2) {
            execl("/proc/self/exe", "tree_victim", "helper", (char *)NULL);
            _exit(6);
        } else if (number == SIGRTMIN) {
            if ((child = fork()) == 0) _exit(0);
        } else if ((child = vfork()) == 0) {
            struct timespec moment = {0, 150000000};
            nanosleep(&moment, NULL);
            _exit(0);
        }
        if (child < 0 || (child && waitpid(child, NULL, 0) != child)) _exit(7);
        if (write(deeds, "d", 1) != 1) _exit(8);
        if (number == SIGUSR1) return NULL;
    }
}

static int help(void) {
    static sigset_t set;
    pthread_t thread;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1), sigaddset(&set, SIGUSR2), sigaddset(&set, SIGRTMIN), sigaddset(&set, SIGRTMIN + 1);
    sigprocmask(SIG_SETMASK, &set, NULL);
    deeds = open("deeds", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (deeds < 0 || pthread_create(&thread, NULL, work, &set) || write(deeds, "b", 1) != 1) _exit(9);
    for (;;) pause();
}

static pid_t start_helper(void) {
    pid_t pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", "tree_victim", "helper", (char *)NULL);
        _exit(10);
    }
    specimen_check(pid > 0);
    return pid;
}

/* Checks everything again and again, and replaces a helper that was killed. */
static void *keep(void *argument) {
    (void)argument;
    while (!end) {
        check_own();
        if (waitpid(helper, NULL, WNOHANG) == helper) helper = start_helper();
        struct timespec pause = {0, 2000000};
        specimen_equal(nanosleep(&pause, NULL), 0);
        turns[COUNT]++;
    }
    return NULL;
}

static void be_steady(pid_t parent) {
    double x = 1.0;
    uint64_t h = 9;
    victim_own = 9;
    specimen_equal(prctl(PR_SET_PDEATHSIG, SIGKILL), 0); /* nobody shall say that its parent was killed */
    for (;;) {
        for (int i = 0; i < 5000; i++) victim_step(&x, &h, 9);
        check_words(private_words, 1);
        check_words(shared_words, 2);
        specimen_equal(getppid(), parent);
        struct timespec pause = {0, 2000000};
        specimen_equal(nanosleep(&pause, NULL), 0);
    }
}

int main(int argc, char **argv) {
    (void)argv;
    if (argc > 1) return help();
    pthread_t threads[COUNT], keeper;
    sigset_t blocked, before;
    pid_t self = getpid();
    int flags = PROT_READ | PROT_WRITE;
    private_words = mmap(NULL, WORDS * 8, flags, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    shared_words = mmap(NULL, WORDS * 8, flags, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    specimen_check(private_words != MAP_FAILED && shared_words != MAP_FAILED);
    fill(private_words, 1), fill(shared_words, 2);
    specimen_equal(close(open("deeds", O_WRONLY | O_CREAT, 0644)), 0);
    steady = fork();
    if (steady == 0) be_steady(self);
    file = open("file", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    specimen_equal(ftruncate(file, 5000), 0);
    specimen_equal(lseek(file, OFFSET, SEEK_SET), OFFSET);
    specimen_equal(pipe2(pipes, O_CLOEXEC), 0);
    specimen_equal(write(pipes[1], "bytes", 5), 5);
    clock_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec far = {{0, 66}, {100000, 0}};
    specimen_equal(timerfd_settime(clock_fd, 0, &far, NULL), 0);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    specimen_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    far.it_interval.tv_nsec = 55;
    specimen_equal(timer_settime(timer, 0, &far, NULL), 0);
    struct itimerval real = {{7777, 0}, {100000, 0}};
    specimen_equal(setitimer(ITIMER_REAL, &real, NULL), 0);
    struct sigaction action = {.sa_handler = handler};
    sigaddset(&action.sa_mask, SIGQUIT);
    specimen_equal(sigaction(SIGUSR1, &action, NULL), 0);
    helper = start_helper();
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM), sigaddset(&blocked, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &blocked, &before); /* SIGTERM is for the main thread, SIGUSR2 stays pending */
    specimen_equal(kill(self, SIGUSR2), 0);
    for (long i = 0; i < COUNT; i++) specimen_equal(pthread_create(&threads[i], NULL, run, (void *)i), 0);
    specimen_equal(pthread_create(&keeper, NULL, keep, NULL), 0);
    for (int i = 0; i <= COUNT; i++)
        while (!turns[i]) sched_yield();
    int begun = open("deeds", O_RDONLY | O_CLOEXEC);
    for (char byte; read(begun, &byte, 1) != 1;) sched_yield();
    close(begun);

    specimen_ready();
    specimen_wait();

    uint64_t seen[COUNT + 1];
    for (int i = 0; i <= COUNT; i++) seen[i] = turns[i];
    for (int i = 0; i <= COUNT; i++)
        while (turns[i] == seen[i]) sched_yield(); /* everybody goes on */
    end = 1;
    for (int i = 0; i < COUNT; i++) specimen_equal(pthread_join(threads[i], NULL), 0);
    specimen_equal(pthread_join(keeper, NULL), 0);
    check_own();
    kill(steady, SIGKILL), kill(helper, SIGKILL);
    specimen_equal(waitpid(steady, NULL, 0), steady);
    specimen_equal(waitpid(helper, NULL, 0), helper);
    return specimen_pass();
}
