/* Helpers of the unix specimens: sockets, names, messages, and who made them. */
#ifndef UNIX_H
#define UNIX_H

#include "files.h"
#include "peer.h"

#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

struct unix_name {
    struct sockaddr_un address;
    socklen_t length;
};

/* A path, or with an @ in front an abstract name. */
static inline struct unix_name unix_named(const char *name) {
    struct unix_name made = {.address.sun_family = AF_UNIX};
    size_t length = strlen(name);
    specimen_check(length < sizeof made.address.sun_path);
    memcpy(made.address.sun_path, name, length);
    if (name[0] == '@') made.address.sun_path[0] = 0;
    made.length = offsetof(struct sockaddr_un, sun_path) + length + (name[0] != '@');
    return made;
}

/* An abstract name that nobody else has. */
static inline const char *unix_abstract(const char *word) {
    static char text[4][64];
    static int turn;
    char *made = text[turn++ % 4];
    snprintf(made, sizeof text[0], "@crtool-%s-%d", word, (int)getpid());
    return made;
}

static inline int unix_socket(int type) {
    int fd = socket(AF_UNIX, type, 0);
    specimen_check(fd >= 0);
    return fd;
}

static inline void unix_pair(int type, int pair[2]) { specimen_check(socketpair(AF_UNIX, type, 0, pair) == 0); }

static inline int unix_bound(int type, const char *name) {
    int fd = unix_socket(type);
    struct unix_name to = unix_named(name);
    specimen_check(bind(fd, (struct sockaddr *)&to.address, to.length) == 0);
    return fd;
}

static inline int unix_listening(int type, const char *name, int backlog) {
    int fd = unix_bound(type, name);
    specimen_check(listen(fd, backlog) == 0);
    return fd;
}

static inline int unix_try_connect(int fd, const char *name) {
    struct unix_name to = unix_named(name);
    return connect(fd, (struct sockaddr *)&to.address, to.length);
}

static inline int unix_connected(int type, const char *name) {
    int fd = unix_socket(type);
    specimen_check(unix_try_connect(fd, name) == 0);
    return fd;
}

static inline int unix_accepted(int listener) {
    int fd = accept(listener, NULL, NULL);
    specimen_check(fd >= 0);
    return fd;
}

static inline void unix_expect_address(const struct sockaddr_un *found, socklen_t length, const char *name) {
    if (!name) {
        specimen_equal(length, offsetof(struct sockaddr_un, sun_path));
        return;
    }
    struct unix_name wanted = unix_named(name);
    specimen_equal(length, wanted.length);
    specimen_check(memcmp(found, &wanted.address, length) == 0);
}

/* NULL: none. */
static inline void unix_expect_name(int fd, const char *name) {
    struct sockaddr_un found = {0};
    socklen_t length = sizeof found;
    specimen_check(getsockname(fd, (struct sockaddr *)&found, &length) == 0);
    unix_expect_address(&found, length, name);
}

static inline void unix_expect_peer(int fd, const char *name) {
    struct sockaddr_un found = {0};
    socklen_t length = sizeof found;
    specimen_check(getpeername(fd, (struct sockaddr *)&found, &length) == 0);
    unix_expect_address(&found, length, name);
}

static inline void unix_send(int fd, const char *text) {
    specimen_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static inline void unix_send_to(int fd, const char *text, const char *name) {
    struct unix_name to = unix_named(name);
    specimen_equal(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to.address, to.length), strlen(text));
}

/* The next message, or of a stream all that is there. */
static inline void unix_expect(int fd, const char *text) {
    char found[4096];
    ssize_t got = recv(fd, found, sizeof found - 1, MSG_DONTWAIT);
    specimen_check(got >= 0);
    found[got] = 0;
    specimen_equal_text(found, text);
}

static inline void unix_expect_from(int fd, const char *text, const char *name) {
    char found[4096];
    struct sockaddr_un address = {0};
    socklen_t length = sizeof address;
    ssize_t got = recvfrom(fd, found, sizeof found - 1, MSG_DONTWAIT, (struct sockaddr *)&address, &length);
    specimen_check(got >= 0);
    found[got] = 0;
    specimen_equal_text(found, text);
    if (name) unix_expect_address(&address, length, name);
    else specimen_equal(length, 0);
}

static inline void unix_expect_nothing(int fd) {
    char found;
    specimen_check(recv(fd, &found, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN);
}

static inline void unix_expect_end(int fd) {
    char found;
    specimen_equal(recv(fd, &found, 1, MSG_DONTWAIT), 0);
}

/* Both directions work. */
static inline void unix_talk(int one, int other) {
    unix_send(one, "there");
    unix_expect(other, "there");
    unix_send(other, "and back");
    unix_expect(one, "and back");
}

static inline int unix_option(int fd, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    specimen_check(getsockopt(fd, SOL_SOCKET, name, &value, &length) == 0);
    return value;
}

static inline void unix_set(int fd, int name, int value) {
    specimen_check(setsockopt(fd, SOL_SOCKET, name, &value, sizeof value) == 0);
}

static inline struct ucred unix_made_by(int fd) {
    struct ucred found = {0};
    socklen_t length = sizeof found;
    specimen_check(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &found, &length) == 0);
    return found;
}

static inline void unix_expect_made_by(int fd, pid_t pid, uid_t uid, gid_t gid) {
    struct ucred found = unix_made_by(fd);
    specimen_equal(found.pid, pid);
    specimen_equal(found.uid, uid);
    specimen_equal(found.gid, gid);
}

static inline void unix_send_fds(int fd, const char *text, const int *fds, int count) {
    char control[CMSG_SPACE(sizeof(int) * 64)] = {0};
    struct iovec part = {(void *)text, strlen(text)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control};
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_RIGHTS, head->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(head), fds, sizeof(int) * count);
    specimen_equal(sendmsg(fd, &message, 0), strlen(text));
}

static inline void unix_send_fd(int fd, const char *text, int carried) { unix_send_fds(fd, text, &carried, 1); }

/* The next message with exactly *count* descriptors, and who sent it if *sender* is wanted. */
static inline void unix_expect_fds(int fd, const char *text, int *fds, int count, struct ucred *sender) {
    char control[1024], found[4096];
    struct iovec part = {found, sizeof found - 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT);
    specimen_check(got >= 0);
    found[got] = 0;
    specimen_equal_text(found, text);
    int seen = 0, told = 0;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
        if (head->cmsg_level != SOL_SOCKET) continue;
        if (head->cmsg_type == SCM_RIGHTS) {
            seen = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            specimen_equal(seen, count);
            if (fds) memcpy(fds, CMSG_DATA(head), seen * sizeof(int));
        }
        if (head->cmsg_type == SCM_CREDENTIALS && sender) memcpy(sender, CMSG_DATA(head), sizeof *sender), told = 1;
    }
    specimen_equal(seen, count);
    if (sender) specimen_equal(told, 1);
}

static inline int unix_expect_fd(int fd, const char *text) {
    int found = -1;
    unix_expect_fds(fd, text, &found, 1, NULL);
    return found;
}

static inline int unix_poll(int fd, int events) {
    struct pollfd asked = {fd, events, 0};
    specimen_check(poll(&asked, 1, 0) >= 0);
    return asked.revents;
}

#endif
