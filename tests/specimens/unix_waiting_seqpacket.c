/* specimen: seqpacket connection at an abstract name that nobody has accepted | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    const char *name = unix_abstract("waiting");
    int listener = unix_listening(SOCK_SEQPACKET, name, 5), client = unix_connected(SOCK_SEQPACKET, name);

    specimen_ready();
    specimen_wait();

    unix_talk(client, unix_accepted(listener));
    return specimen_pass();
}
