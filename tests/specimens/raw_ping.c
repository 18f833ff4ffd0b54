/* specimen: ping sockets: datagrams of ICMP without rights | group: sockets | needs: root, ping */
#include "sockets.h"

#include "task.h"

int main(void) {
    int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
    if (fd < 0) specimen_skip("ping sockets are not allowed to this group (net.ipv4.ping_group_range)");
    socket_bind(fd, socket_four("127.0.0.1", 4321));
    socket_connect(fd, socket_four("127.0.0.1", 0));

    specimen_ready();
    specimen_wait();

    specimen_equal(ntohs(socket_name(fd).four.sin_port), 4321);
    unsigned char request[8] = {8, 0, 0, 0, 0, 0, 0, 7}, answer[64];
    specimen_equal(send(fd, request, sizeof request, 0), sizeof request);
    socket_await(fd);
    specimen_equal(recv(fd, answer, sizeof answer, 0), 8);
    specimen_equal(answer[0], 0); specimen_equal(answer[7], 7);
    specimen_equal(ntohs(*(unsigned short *)(answer + 4)), 4321);
    return specimen_pass();
}
