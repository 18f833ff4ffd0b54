/* specimen: TCP connection over IPv4, by IPv6 sockets, whose queues are full, and flow at once when they are read | group: tcp | needs: root */
#include "tcp.h"

int main(void) { return tcp_story_of_full_queues(tcp_six("::ffff:127.0.0.1", 0)); }
