/* specimen: seqpacket socket whose other end was closed, with unread data | group: sockets | needs: nothing */
#include "unix_kinds.h"

int main(void) { return kinds_closed(SOCK_SEQPACKET); }
