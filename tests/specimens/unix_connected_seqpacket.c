/* specimen: connection to a listening seqpacket socket, with unread data | group: sockets | needs: nothing */
#include "unix_kinds.h"

int main(void) { return kinds_connected(SOCK_SEQPACKET); }
