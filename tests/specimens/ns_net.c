/* specimen: network namespaces with a loopback device, up and down | group: ns | needs: root, new namespaces */
#include "ns.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int flags(int change) {
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    specimen_check(fd >= 0);
    specimen_equal(ioctl(fd, SIOCGIFFLAGS, &request), 0);
    int found = request.ifr_flags;
    if (change) {
        request.ifr_flags |= change;
        specimen_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
    }
    close(fd);
    return found;
}

static void inside(struct peer *me) {
    int up = me->data != NULL;
    specimen_equal(unshare(CLONE_NEWNET), 0);
    if (up) flags(IFF_UP);
    peer_turn(me);
    specimen_equal(flags(0) & IFF_UP, up ? IFF_UP : 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    specimen_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0); /* nobody has port 80 in here */
    close(fd);
}

int main(void) {
    ns_need(CLONE_NEWNET);
    struct peer *down = peer_start(inside), *up = peer_start_with(inside, "up");

    specimen_ready();
    specimen_wait();

    peer_end(down);
    peer_end(up);
    return specimen_pass();
}
