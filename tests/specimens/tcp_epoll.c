/* specimen: TCP connections and a listening socket in an epoll instance, level- and edge-triggered | group: tcp | needs: root */
#include "tcp.h"

#include <sys/epoll.h>

int main(void) {
    int listener = tcp_listen(tcp_four("127.0.0.1", 0), 5);
    struct tcp_ends one = tcp_pair_by(listener, tcp_socket(AF_INET)), two = tcp_pair_by(listener, tcp_socket(AF_INET));
    int instance = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 1};
    specimen_equal(epoll_ctl(instance, EPOLL_CTL_ADD, listener, &event), 0);
    event = (struct epoll_event){.events = EPOLLIN, .data.u64 = 2};
    specimen_equal(epoll_ctl(instance, EPOLL_CTL_ADD, one.server, &event), 0);
    event = (struct epoll_event){.events = EPOLLIN | EPOLLET | EPOLLRDHUP, .data.u64 = 3};
    specimen_equal(epoll_ctl(instance, EPOLL_CTL_ADD, two.server, &event), 0);
    files_write(one.client, 10, 1, 0);
    tcp_await_unread(one.server, 10);

    specimen_ready();
    specimen_wait();

    specimen_equal(epoll_wait(instance, &event, 1, 10000), 1);
    specimen_equal(event.data.u64, 2);
    files_expect(one.server, 10, 1, 0);
    specimen_equal(epoll_wait(instance, &event, 1, 0), 0);
    files_write(two.client, 10, 1, 0);
    specimen_equal(epoll_wait(instance, &event, 1, 10000), 1);
    specimen_equal(event.data.u64, 3);
    int client = tcp_socket(AF_INET);
    tcp_connect(client, tcp_name(listener));
    specimen_equal(epoll_wait(instance, &event, 1, 10000), 1);
    specimen_equal(event.data.u64, 1);
    return specimen_pass();
}
