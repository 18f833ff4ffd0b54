/* specimen: connection to a listening stream socket, with unread data | group: sockets | needs: nothing */
#include "unix_kinds.h"

int main(void) { return kinds_connected(SOCK_STREAM); }
