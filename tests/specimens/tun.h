/* Network interfaces whose other end is a descriptor of /dev/net/tun. */
#ifndef TUN_H
#define TUN_H
#include "files.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static inline int tun_open(void) {
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (fd < 0) specimen_skip("no /dev/net/tun: %s", strerror(errno));
    return fd;
}

/* A struct ifreq for interface crt<PID>. */
static inline struct ifreq tun_request(int flags) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    snprintf(request.ifr_name, sizeof request.ifr_name, "crt%d", (int)getpid());
    request.ifr_flags = (short)flags;
    return request;
}

static inline void tun_attach(int fd, int flags) {
    struct ifreq request = tun_request(flags);
    if (ioctl(fd, TUNSETIFF, &request)) specimen_skip("no network interfaces: %s", strerror(errno));
}

/* What the kernel says of the interface of fd. */
static inline struct ifreq tun_about(int fd) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    specimen_equal(ioctl(fd, TUNGETIFF, &request), 0);
    return request;
}

/* An ioctl of netdevice(7) about the interface. */
static inline struct ifreq tun_ask(int call, struct ifreq request) {
    int line = socket(AF_INET, SOCK_DGRAM, 0);
    specimen_equal(ioctl(line, call, &request), 0);
    close(line);
    return request;
}

#endif
