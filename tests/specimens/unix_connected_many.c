/* specimen: listening socket with fifty connections | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int listener = unix_listening(SOCK_STREAM, "name", 5), client[50], server[50];
    for (int i = 0; i < 50; i++) {
        char text[16];
        client[i] = unix_connected(SOCK_STREAM, "name"), server[i] = unix_accepted(listener);
        snprintf(text, sizeof text, "text %d", i);
        unix_send(client[i], text);
    }

    specimen_ready();
    specimen_wait();

    for (int i = 0; i < 50; i++) {
        char text[16];
        snprintf(text, sizeof text, "text %d", i);
        unix_expect(server[i], text);
        unix_talk(client[i], server[i]);
    }
    return specimen_pass();
}
