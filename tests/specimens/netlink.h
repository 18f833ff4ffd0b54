/* Helpers of the netlink specimens: the names of network devices, asked for by RTM_GETLINK, and messages of our own. */
#ifndef NETLINK_H
#define NETLINK_H

#include "sockets.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

static inline int netlink_open(int protocol, unsigned port, unsigned groups) {
    int fd = socket_open(AF_NETLINK, SOCK_RAW, protocol);
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_pid = port, .nl_groups = groups};
    specimen_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static inline struct sockaddr_nl netlink_name(int fd) {
    struct sockaddr_nl address;
    specimen_equal(getsockname(fd, (struct sockaddr *)&address, &(socklen_t){sizeof address}), 0);
    return address;
}

/* Ask for device number 1, which is always lo; the answer is a message of *wanted* kind. */
static inline void netlink_ask(int fd) {
    struct { struct nlmsghdr head; struct ifinfomsg body; } question = {
        {.nlmsg_len = sizeof question, .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = 7},
        {.ifi_family = AF_UNSPEC, .ifi_index = 1}};
    specimen_equal(send(fd, &question, sizeof question, 0), sizeof question);
    char answer[16384];
    specimen_check(recv(fd, answer, sizeof answer, 0) > (ssize_t)sizeof(struct nlmsghdr));
    struct nlmsghdr *head = (struct nlmsghdr *)answer;
    specimen_equal(head->nlmsg_type, RTM_NEWLINK);
    specimen_equal(head->nlmsg_seq, 7);
    specimen_equal(head->nlmsg_pid, netlink_name(fd).nl_pid);
}

#endif
