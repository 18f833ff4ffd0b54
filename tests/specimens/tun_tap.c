/* specimen: TAP interface with an address of its own, up | group: objects | needs: root, tun */
#include "tun.h"

#include <net/if_arp.h>

int main(void) {
    int fd = tun_open(), size = 12, room = 123456;
    tun_attach(fd, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
    struct ifreq request = tun_request(0);
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    memcpy(request.ifr_hwaddr.sa_data, "\x02\x11\x22\x33\x44\x55", 6);
    tun_ask(SIOCSIFHWADDR, request);
    request = tun_request(0), request.ifr_mtu = 1234;
    tun_ask(SIOCSIFMTU, request);
    tun_ask(SIOCSIFFLAGS, tun_request(IFF_UP));
    specimen_equal(ioctl(fd, TUNSETVNETHDRSZ, &size), 0);
    specimen_equal(ioctl(fd, TUNSETSNDBUF, &room), 0);

    specimen_ready();
    specimen_wait();

    struct ifreq about = tun_about(fd);
    specimen_equal_text(about.ifr_name, tun_request(0).ifr_name);
    specimen_equal(about.ifr_flags & (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
    specimen_check(!memcmp(tun_ask(SIOCGIFHWADDR, about).ifr_hwaddr.sa_data, "\x02\x11\x22\x33\x44\x55", 6));
    specimen_equal(tun_ask(SIOCGIFMTU, about).ifr_mtu, 1234);
    specimen_check(tun_ask(SIOCGIFFLAGS, about).ifr_flags & IFF_UP);
    specimen_equal(ioctl(fd, TUNGETVNETHDRSZ, &size), 0);
    specimen_equal(size, 12);
    specimen_equal(ioctl(fd, TUNGETSNDBUF, &room), 0);
    specimen_equal(room, 123456);
    char frame[12 + 60] = {0};
    specimen_equal(write(fd, frame, sizeof frame), sizeof frame);
    return specimen_pass();
}
