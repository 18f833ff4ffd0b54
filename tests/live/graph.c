/* Graphs of open files at random: graph SEED COUNT grows COUNT of them, each by a few processes that open, duplicate,
 * pass, share, and close. It says "ready" when none of them does anything any more, and sleeps.
 *
 * What it did is told by /proc and the kernel; nothing here checks itself. A step that is not possible is left out. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

enum { MOST = 40, STEPS = 40 };

static uint64_t state;
static int *growing; /* processes that are not done, in shared memory */

static unsigned rnd(unsigned below) { /* xorshift64* */
    state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
    return (unsigned)((state * 0x2545f4914f6cdd1du >> 33) % below);
}

/* The descriptors that are open, in order: shared with whoever shares the table. */
static int list(int *fds) {
    int count = 0;
    for (int fd = 3; fd < 3 * MOST; fd++)
        if (fcntl(fd, F_GETFD) >= 0) fds[count++] = fd;
    return count;
}

static int pick(void) {
    int fds[3 * MOST], count = list(fds);
    return count ? fds[rnd(count)] : -1;
}

static int is_socket(int fd) {
    struct stat found;
    return fstat(fd, &found) == 0 && S_ISSOCK(found.st_mode);
}

static int pick_socket(void) {
    for (int try = 0; try < 20; try++) {
        int fd = pick();
        if (fd >= 0 && is_socket(fd)) return fd;
    }
    return -1;
}

static void write_some(int fd) {
    char text[600];
    size_t size = 1 + rnd(sizeof text);
    for (size_t i = 0; i < size; i++) text[i] = 'a' + rnd(26);
    if (is_socket(fd)) send(fd, text, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    else {
        uint64_t eight = 1 + rnd(5);
        struct iovec long_one = {text, size}, short_one = {&eight, sizeof eight};
        if (pwritev2(fd, &long_one, 1, -1, RWF_NOWAIT) >= 0) return;
        if (errno == EINVAL) pwritev2(fd, &short_one, 1, -1, RWF_NOWAIT); /* an eventfd */
        struct stat found;
        if (fstat(fd, &found) == 0 && S_ISREG(found.st_mode)) (void)!write(fd, text, size);
    }
}

static void pass(int line) {
    int fds[1 + rnd(3)], count = sizeof fds / sizeof *fds, kept = 0;
    for (int i = 0; i < count; i++) {
        int fd = pick();
        if (fd >= 0 && !isatty(fd)) fds[kept++] = fd; /* terminals in flight are refused */
    }
    char byte[2] = "xy", room[CMSG_SPACE(sizeof fds)];
    memset(room, 0, sizeof room);
    struct iovec part = {byte, 1 + rnd(2)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (kept) {
        message.msg_control = room, message.msg_controllen = CMSG_SPACE(kept * sizeof *fds);
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_RIGHTS, head->cmsg_len = CMSG_LEN(kept * sizeof *fds);
        memcpy(CMSG_DATA(head), fds, kept * sizeof *fds);
    }
    sendmsg(line, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void take(int line) {
    char text[2000], room[CMSG_SPACE(8 * sizeof(int))];
    struct iovec part = {text, sizeof text};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    recvmsg(line, &message, MSG_DONTWAIT | (rnd(2) ? MSG_CMSG_CLOEXEC : 0));
}

static void watch(void) {
    int instance = epoll_create1(0), count = rnd(4);
    for (int i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN | (rnd(2) ? EPOLLET : 0), .data.u64 = rnd(1000)};
        epoll_ctl(instance, EPOLL_CTL_ADD, pick(), &event);
    }
}

static void terminal(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0) return;
    grantpt(master), unlockpt(master);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    if (slave >= 0 && rnd(2)) (void)!write(slave, "seen", 4);
}

static void named_socket(void) {
    static int number;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "graph-%d-%d", getpid(), number++);
    int fd = socket(AF_UNIX, (rnd(2) ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_NONBLOCK, 0), kind;
    socklen_t size = sizeof kind;
    bind(fd, (void *)&name, sizeof name);
    listen(fd, 5);
    getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &size);
    int client = socket(AF_UNIX, kind | SOCK_NONBLOCK, 0);
    connect(client, (void *)&name, sizeof name);
    /* What waits to be accepted must not have been written to, or it is refused. */
    if (rnd(3)) accept4(fd, NULL, NULL, rnd(2) ? SOCK_NONBLOCK : 0);
    else close(client);
}

static void step(void) {
    static int named;
    char name[64];
    int pair[2], fd, fds[3 * MOST];
    static const int kinds[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    if (list(fds) >= MOST) {
        close(pick());
        return;
    }
    switch (rnd(22)) {
    case 0:
        snprintf(name, sizeof name, "file-%d-%d", getpid(), named++);
        fd = open(name, O_CREAT | O_RDWR | (rnd(3) ? 0 : O_APPEND), 0600);
        if (fd < 0) break;
        if (rnd(4) == 0) unlink(name);
        write_some(fd);
        break;
    case 1: lseek(pick(), rnd(1000), SEEK_SET); break;
    case 2: (void)!pipe2(pair, rnd(2) ? O_NONBLOCK : 0); break;
    case 3: case 4: socketpair(AF_UNIX, kinds[rnd(3)] | (rnd(2) ? SOCK_NONBLOCK : 0), 0, pair); break;
    case 5: eventfd(rnd(9), rnd(2) ? EFD_SEMAPHORE : EFD_NONBLOCK); break;
    case 6: {
        struct itimerspec far = {.it_value.tv_sec = 100000, .it_interval.tv_sec = rnd(2)};
        timerfd_settime(timerfd_create(CLOCK_MONOTONIC, 0), 0, rnd(3) ? &far : &(struct itimerspec){0}, NULL);
        break;
    }
    case 7:
        fd = memfd_create("graph", MFD_ALLOW_SEALING);
        write_some(fd);
        if (rnd(2)) fcntl(fd, F_ADD_SEALS, F_SEAL_GROW);
        break;
    case 8: watch(); break;
    case 9: if (rnd(3) == 0) terminal(); break;
    case 10: named_socket(); break;
    case 11: dup(pick()); break;
    case 12: dup3(pick(), 3 + rnd(2 * MOST), O_CLOEXEC); break;
    case 13: case 14: close(pick()); break;
    case 15: case 16: pass(pick_socket()); break;
    case 17: take(pick_socket()); break;
    case 18: case 19: write_some(pick()); break;
    case 20: shutdown(pick_socket(), rnd(3)); break;
    case 21: fcntl(pick(), F_SETFD, rnd(2)); break;
    }
}

static void rest(void) {
    __atomic_sub_fetch(growing, 1, __ATOMIC_SEQ_CST);
    for (;;) pause();
}

#pragma GCC diagnostic ignored "-Winfinite-recursion" /* each call is in another process, the last of it */
static void grow(int depth, int left) {
    for (int i = 0; i < STEPS; i++) {
        step();
        if (left > 0 && rnd(STEPS / 2) == 0) {
            uint64_t other = state ^ 0x9e3779b97f4a7c15u * (unsigned)(i + depth * 100 + 1);
            __atomic_add_fetch(growing, 1, __ATOMIC_SEQ_CST);
            unsigned long flags = SIGCHLD | (rnd(3) ? 0 : CLONE_FILES);
            if (syscall(SYS_clone, flags, 0, 0, 0, 0) == 0) {
                state = other;
                grow(depth + 1, left - 1);
            }
            left--;
        }
    }
    rest();
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    uint64_t seed = strtoull(arguments[1], NULL, 10);
    growing = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_IGN); /* whoever is ended by the test leaves nothing behind */
    *growing = atoi(arguments[2]);
    for (int graph = atoi(arguments[2]); graph > 0; graph--)
        if (fork() == 0) {
            state = (seed << 20 | graph) * 0x9e3779b97f4a7c15u | 1;
            grow(0, 3);
        }
    while (__atomic_load_n(growing, __ATOMIC_SEQ_CST) > 0) usleep(1000);
    (void)!write(1, "ready\n", 6);
    for (;;) pause();
}
