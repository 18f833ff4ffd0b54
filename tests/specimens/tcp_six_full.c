/* specimen: TCP connection over IPv6 whose queues are full, and flow at once when they are read | group: tcp | needs: root */
#include "tcp.h"

int main(void) { return tcp_story_of_full_queues(tcp_six("::1", 0)); }
