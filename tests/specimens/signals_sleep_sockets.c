/* specimen: threads that wait at sockets with SO_RCVTIMEO and SO_SNDTIMEO (read, recvmsg, accept, write, connect) wait on | group: signals | needs: root */
#include "sleeper.h"

#include <sys/socket.h>
#include <sys/un.h>

enum { COUNT = 5 };
static const struct timeval hour = {3600, 0};
static int readers[2][2], writers[2], listening, full;
static struct sockaddr_un name = {AF_UNIX, ""}, crowded = {AF_UNIX, ""};

static void limit(int fd) {
    specimen_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &hour, sizeof hour), 0);
    specimen_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &hour, sizeof hour), 0);
}
static int listener(struct sockaddr_un *address, int backlog) {
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    specimen_equal(bind(fd, (struct sockaddr *)address, sizeof(sa_family_t)), 0); /* a name of the kernel's choice */
    socklen_t length = sizeof *address;
    specimen_equal(getsockname(fd, (struct sockaddr *)address, &length), 0);
    specimen_equal(listen(fd, backlog), 0);
    limit(fd);
    return fd;
}
static const socklen_t length = sizeof(sa_family_t) + 6;
static char byte, block[1 << 16];
static long by_read(void) { return syscall(SYS_read, readers[0][0], &byte, 1); }
static long by_recvmsg(void) {
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    return syscall(SYS_recvmsg, readers[1][0], &message, 0);
}
static long by_accept(void) { return syscall(SYS_accept, listening, NULL, NULL) >= 0; }
static long by_write(void) { return syscall(SYS_write, writers[0], block, 1); }
static long by_connect(void) {
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    limit(fd);
    return syscall(SYS_connect, fd, &crowded, length);
}

int main(void) {
    static long (*const calls[COUNT])(void) = {by_read, by_recvmsg, by_accept, by_write, by_connect};
    static const long numbers[COUNT] = {SYS_read, SYS_recvmsg, SYS_accept, SYS_write, SYS_connect};
    static const long results[COUNT] = {1, 1, 1, 1, 0};
    struct sleeper *sleepers[COUNT];
    for (int i = 0; i < 2; i++) {
        specimen_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, readers[i]), 0);
        limit(readers[i][0]);
    }
    specimen_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, writers), 0);
    limit(writers[0]);
    while (send(writers[0], block, sizeof block, MSG_DONTWAIT) > 0) continue;
    listening = listener(&name, 4);
    full = listener(&crowded, 0);
    int first = socket(AF_UNIX, SOCK_STREAM, 0);
    specimen_equal(connect(first, (struct sockaddr *)&crowded, length), 0);
    for (int i = 0; i < COUNT; i++) sleepers[i] = sleeper_start(calls[i], numbers[i]);

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < COUNT; i++) sleeper_still(sleepers[i]);
    for (int i = 0; i < 2; i++) specimen_equal(write(readers[i][1], "x", 1), 1);
    specimen_equal(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&name, length), 0);
    while (recv(writers[1], block, sizeof block, MSG_DONTWAIT) > 0) continue;
    specimen_check(accept(full, NULL, NULL) >= 0);
    for (int i = 0; i < COUNT; i++) sleeper_returns(sleepers[i], results[i], 0);
    return specimen_pass();
}
