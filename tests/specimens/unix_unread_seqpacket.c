/* specimen: seqpacket sockets with unread messages | group: sockets | needs: nothing */
#include "unix_kinds.h"

int main(void) { return kinds_unread(SOCK_SEQPACKET); }
