/* specimen: datagram socket of an abstract name, with messages of senders that have gone | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    const char *name = unix_abstract("log");
    int log = unix_bound(SOCK_DGRAM, name);
    int named = unix_bound(SOCK_DGRAM, "sender"), nameless = unix_socket(SOCK_DGRAM);
    unix_send_to(named, "named", name), unix_send_to(nameless, "nameless", name);
    close(named), close(nameless);

    specimen_ready();
    specimen_wait();

    unix_expect_from(log, "named", "sender"), unix_expect_from(log, "nameless", NULL);
    unix_send_to(unix_socket(SOCK_DGRAM), "new", name), unix_expect(log, "new");
    return specimen_pass();
}
