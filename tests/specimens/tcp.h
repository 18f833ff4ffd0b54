/* Helpers of the TCP specimens: addresses, connected pairs over loopback, and what the kernel says of a socket.
 *
 * Both ends are in the specimen, in one process or in a peer. Ports are the kernel's choice; tcp_pair leaves
 * nothing but the two ends. */
#ifndef TCP_H
#define TCP_H

#include "files.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <linux/sockios.h>
#include <sys/socket.h>
#include <time.h>

enum { TCP_STATE_ESTABLISHED = 1, TCP_STATE_SYN_SENT, TCP_STATE_SYN_RECV, TCP_STATE_FIN_WAIT1, TCP_STATE_FIN_WAIT2,
       TCP_STATE_TIME_WAIT, TCP_STATE_CLOSE, TCP_STATE_CLOSE_WAIT, TCP_STATE_LAST_ACK, TCP_STATE_LISTEN,
       TCP_STATE_CLOSING };

struct tcp_address {
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    };
    socklen_t size;
};

static inline struct tcp_address tcp_four(const char *host, int port) {
    struct tcp_address address = {.four = {.sin_family = AF_INET, .sin_port = htons(port)}, .size = sizeof address.four};
    specimen_equal(inet_pton(AF_INET, host, &address.four.sin_addr), 1);
    return address;
}

static inline struct tcp_address tcp_six(const char *host, int port) {
    struct tcp_address address = {.six = {.sin6_family = AF_INET6, .sin6_port = htons(port)}, .size = sizeof address.six};
    specimen_equal(inet_pton(AF_INET6, host, &address.six.sin6_addr), 1);
    return address;
}

static inline int tcp_port(struct tcp_address address) { return ntohs(address.four.sin_port); }

static inline struct tcp_address tcp_name(int fd) {
    struct tcp_address address = {.size = sizeof address.six};
    specimen_equal(getsockname(fd, &address.any, &address.size), 0);
    return address;
}

static inline struct tcp_address tcp_other(int fd) {
    struct tcp_address address = {.size = sizeof address.six};
    specimen_equal(getpeername(fd, &address.any, &address.size), 0);
    return address;
}

#define tcp_same(found, expected) do { \
        struct tcp_address one_ = (found), two_ = (expected); \
        specimen_equal(one_.size, two_.size); \
        specimen_equal(memcmp(&one_.any, &two_.any, one_.size), 0); \
    } while (0)

static inline int tcp_socket(int family) {
    int fd = socket(family, SOCK_STREAM, 0);
    if (fd < 0 && errno == EAFNOSUPPORT) specimen_skip("no addresses of that family: IPv6 is off");
    specimen_check(fd >= 0);
    return fd;
}

static inline void tcp_set(int fd, int level, int name, int value) {
    specimen_equal(setsockopt(fd, level, name, &value, sizeof value), 0);
}

static inline int tcp_get(int fd, int level, int name) {
    int value = 0;
    socklen_t size = sizeof value;
    specimen_equal(getsockopt(fd, level, name, &value, &size), 0);
    return value;
}

static inline void tcp_bind(int fd, struct tcp_address address) {
    if (bind(fd, &address.any, address.size) != 0) {
        if (errno == EADDRNOTAVAIL) specimen_skip("this machine does not have the address");
        specimen_fail("bind: %s", strerror(errno));
    }
}

/* A socket that listens at *address*, port 0 being any. */
static inline int tcp_listen(struct tcp_address address, int backlog) {
    int fd = tcp_socket(address.any.sa_family);
    tcp_bind(fd, address);
    specimen_equal(listen(fd, backlog), 0);
    return fd;
}

static inline void tcp_connect(int fd, struct tcp_address address) {
    specimen_equal(connect(fd, &address.any, address.size), 0);
}

static inline int tcp_accept(int fd) {
    int found = accept(fd, NULL, NULL);
    specimen_check(found >= 0);
    return found;
}

/* Reads what fills the queues: at once, not a segment for each round of a timer. */
static inline void tcp_expect_flow(int fd, size_t size, unsigned salt) {
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    files_expect(fd, size, salt, 0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    specimen_check(end.tv_sec - begin.tv_sec < 10);
}

struct tcp_ends { int client, server; };

/* A connected pair through *listener*; the options of both sockets are as they are. */
static inline struct tcp_ends tcp_pair_by(int listener, int client) {
    tcp_connect(client, tcp_name(listener));
    return (struct tcp_ends){.client = client, .server = tcp_accept(listener)};
}

static inline struct tcp_ends tcp_pair(struct tcp_address address) {
    int listener = tcp_listen(address, 1);
    struct tcp_ends ends = tcp_pair_by(listener, tcp_socket(address.any.sa_family));
    close(listener);
    return ends;
}

static inline struct tcp_ends tcp_pair_four(void) { return tcp_pair(tcp_four("127.0.0.1", 0)); }

static inline struct tcp_info tcp_info(int fd) {
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    specimen_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    return info;
}

static inline int tcp_state(int fd) { return tcp_info(fd).tcpi_state; }

/* Segments of loopback arrive soon, but not at once. */
static inline void tcp_await_state(int fd, int state) {
    struct timespec pause = {.tv_nsec = 1000000};
    for (int slice = 0; slice < 10000; slice++) {
        if (tcp_state(fd) == state) return;
        nanosleep(&pause, NULL);
    }
    specimen_equal(tcp_state(fd), state);
}

static inline void tcp_await_unread(int fd, int bytes) {
    struct timespec pause = {.tv_nsec = 1000000};
    for (int slice = 0; slice < 10000; slice++) {
        if (files_unread(fd) == bytes) return;
        nanosleep(&pause, NULL);
    }
    specimen_equal(files_unread(fd), bytes);
}

/* *size* bytes of the pattern from *from* on go through the connection. */
static inline void tcp_pass(int writer, int reader, size_t size, uint64_t seed, size_t from) {
    files_write(writer, size, seed, from);
    files_expect(reader, size, seed, from);
}

static inline void tcp_pass_both(struct tcp_ends ends) {
    tcp_pass(ends.client, ends.server, 1000, 71, 0);
    tcp_pass(ends.server, ends.client, 1000, 72, 0);
}

/* Fill the connection until the writer would block; returns the bytes. The pattern goes on from *from*. */
static inline size_t tcp_fill(int writer, uint64_t seed, size_t from) {
    unsigned char bytes[4096];
    size_t total = 0;
    int idle = 0;
    struct timespec pause = {.tv_nsec = 2000000};
    while (idle < 20) {
        for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = memory_byte(seed, from + total + i);
        ssize_t more = send(writer, bytes, sizeof bytes, MSG_DONTWAIT);
        if (more < 0) specimen_equal(errno, EAGAIN);
        else total += more;
        idle = more > 0 ? 0 : idle + 1;
        if (idle) nanosleep(&pause, NULL);
    }
    return total;
}

/* The whole story of a connection, through a listener at *address* of IPv6 sockets, whose queues are full. */
static inline int tcp_story_of_full_queues(struct tcp_address address) {
    int listener = tcp_listen(address, 1);
    int client = tcp_socket(AF_INET6);
    tcp_set(listener, SOL_SOCKET, SO_RCVBUF, 50000);
    struct tcp_ends ends = tcp_pair_by(listener, client);
    size_t total = tcp_fill(ends.client, 3, 0);

    specimen_ready();
    specimen_wait();

    tcp_expect_flow(ends.server, total, 3);
    tcp_pass(ends.client, ends.server, 1000, 4, 0);
    tcp_pass(ends.server, ends.client, 1000, 5, 0);
    return specimen_pass();
}

static inline void tcp_expect_end(int fd) {
    char byte;
    specimen_equal(read(fd, &byte, 1), 0);
}

#endif
