/* specimen: pair of datagram sockets in one process | group: sockets | needs: nothing */
#include "unix_kinds.h"

int main(void) { return kinds_pair(SOCK_DGRAM); }
