/* specimen: stream socket that is bound and does not listen | group: sockets | needs: nothing */
#include "unix.h"

int main(void) {
    int bound = unix_bound(SOCK_STREAM, "name");

    specimen_ready();
    specimen_wait();

    specimen_check(unix_try_connect(unix_socket(SOCK_STREAM), "name") < 0 && errno == ECONNREFUSED);
    unix_expect_name(bound, "name");
    specimen_check(listen(bound, 3) == 0);
    int client = unix_connected(SOCK_STREAM, "name");
    unix_talk(client, unix_accepted(bound));
    return specimen_pass();
}
