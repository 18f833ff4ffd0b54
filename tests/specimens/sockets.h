/* Helpers of the sockets specimens: addresses, options as numbers, datagrams. */
#ifndef SOCKETS_H
#define SOCKETS_H

#include "files.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <sys/socket.h>

struct socket_address {
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
        struct sockaddr_storage room;
    };
    socklen_t size;
};

static inline struct socket_address socket_four(const char *text, int port) {
    struct socket_address address = {.size = sizeof address.four};
    address.four.sin_family = AF_INET, address.four.sin_port = htons(port);
    specimen_equal(inet_pton(AF_INET, text, &address.four.sin_addr), 1);
    return address;
}

static inline struct socket_address socket_six(const char *text, int port) {
    struct socket_address address = {.size = sizeof address.six};
    address.six.sin6_family = AF_INET6, address.six.sin6_port = htons(port);
    specimen_equal(inet_pton(AF_INET6, text, &address.six.sin6_addr), 1);
    return address;
}

static inline struct socket_address socket_name(int fd) {
    struct socket_address address = {.size = sizeof address.room};
    specimen_equal(getsockname(fd, &address.any, &address.size), 0);
    return address;
}

static inline struct socket_address socket_peer(int fd) {
    struct socket_address address = {.size = sizeof address.room};
    specimen_equal(getpeername(fd, &address.any, &address.size), 0);
    return address;
}

static inline int socket_same(struct socket_address one, struct socket_address other) {
    return one.size == other.size && memcmp(&one.any, &other.any, one.size) == 0;
}
#define socket_expect(found, expected) specimen_check(socket_same(found, expected))

static inline int socket_open(int family, int type, int protocol) {
    int fd = socket(family, type | SOCK_CLOEXEC, protocol);
    if (fd < 0 && (errno == EPERM || errno == EAFNOSUPPORT || errno == EPROTONOSUPPORT || errno == EACCES))
        specimen_skip("socket %d %d %d: %s", family, type, protocol, strerror(errno));
    specimen_check(fd >= 0);
    return fd;
}

static inline void socket_bind(int fd, struct socket_address address) {
    specimen_equal(bind(fd, &address.any, address.size), 0);
}
static inline void socket_connect(int fd, struct socket_address address) {
    specimen_equal(connect(fd, &address.any, address.size), 0);
}

/* A UDP socket, bound to *address*; with port 0 the kernel chooses one. */
static inline int socket_udp(struct socket_address address) {
    int fd = socket_open(address.any.sa_family, SOCK_DGRAM, 0);
    socket_bind(fd, address);
    return fd;
}

static inline void socket_set(int fd, int level, int name, int value) {
    if (setsockopt(fd, level, name, &value, sizeof value) != 0)
        specimen_fail("option %d of level %d: %s", name, level, strerror(errno));
}
static inline int socket_get(int fd, int level, int name) {
    int value = -77;
    socklen_t size = sizeof value;
    if (getsockopt(fd, level, name, &value, &size) != 0)
        specimen_fail("option %d of level %d: %s", name, level, strerror(errno));
    return value;
}

static inline void socket_send(int fd, const char *text, struct socket_address to) {
    specimen_equal(sendto(fd, text, strlen(text), 0, &to.any, to.size), strlen(text));
}

/* Wait until something can be read: a datagram that was sent has arrived. */
static inline void socket_await(int fd) {
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    specimen_equal(poll(&entry, 1, 20000), 1);
}

/* The next datagram of *fd* is *text*, and comes from *from*. */
static inline void socket_expect_from(int fd, const char *text, struct socket_address from) {
    char bytes[70000];
    struct socket_address source = {.size = sizeof source.room};
    ssize_t got = recvfrom(fd, bytes, sizeof bytes, MSG_DONTWAIT, &source.any, &source.size);
    if (got < 0) specimen_fail("\"%s\" is not there: %s", text, strerror(errno));
    if (got != (ssize_t)strlen(text) || memcmp(bytes, text, got))
        specimen_fail("\"%.*s\", not \"%s\"", (int)got, bytes, text);
    specimen_check(socket_same(source, from));
}

static inline void socket_expect_nothing(int fd) {
    char byte;
    files_fails(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
}

/* What *from* sends to *to* arrives there. */
static inline void socket_talk(int from, int to) {
    static int number;
    char text[32];
    snprintf(text, sizeof text, "word %d", ++number);
    socket_send(from, text, socket_name(to));
    socket_await(to);
    socket_expect_from(to, text, socket_name(from));
}

#endif
