/* specimen: connection that nobody has accepted, and whose client has closed it | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int listener = unix_listening(SOCK_STREAM, "name", 5);
    close(unix_connected(SOCK_STREAM, "name"));
    int client = unix_connected(SOCK_STREAM, "name");

    specimen_ready();
    specimen_wait();

    char byte;
    int gone = unix_accepted(listener), server = unix_accepted(listener);
    specimen_equal(read(gone, &byte, 1), 0);
    unix_talk(client, server);
    return specimen_pass();
}
