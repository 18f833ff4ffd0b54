/* specimen: unread messages on a stream socket that tells who sent them | group: sockets | needs: nothing */
#include "unix_kinds.h"

int main(void) { return kinds_passcred(SOCK_STREAM); }
