/* specimen: unread messages on a datagram socket that tells who sent them | group: sockets | needs: nothing */
#include "unix_kinds.h"

int main(void) { return kinds_passcred(SOCK_DGRAM); }
