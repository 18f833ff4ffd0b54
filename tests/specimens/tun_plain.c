/* specimen: TUN interface that is down; descriptor without an interface | group: objects | needs: root, tun */
#include "tun.h"

int main(void) {
    int fd = tun_open(), other = tun_open();
    tun_attach(fd, IFF_TUN | IFF_NO_PI);

    specimen_ready();
    specimen_wait();

    struct ifreq about = tun_about(fd), none;
    specimen_equal_text(about.ifr_name, tun_request(0).ifr_name);
    specimen_equal(about.ifr_flags & (IFF_TUN | IFF_NO_PI | IFF_PERSIST), IFF_TUN | IFF_NO_PI);
    specimen_equal(tun_ask(SIOCGIFFLAGS, about).ifr_flags & IFF_UP, 0);
    specimen_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    files_fails(ioctl(other, TUNGETIFF, &none), EBADFD);
    return specimen_pass();
}
