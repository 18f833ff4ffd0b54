/* specimen: connections and a pair whose other ends are told the groups of their maker | group: sockets | needs: root */
#include "unix.h"

#include <grp.h>

enum { MANY = 300 };

static void be_in(int first, int count) {
    gid_t groups[MANY];
    for (int i = 0; i < count; i++) groups[i] = first + i;
    specimen_equal(setgroups(count, groups), 0);
}

static void expect_groups(int fd, int first, int count) {
    gid_t groups[MANY];
    socklen_t length = sizeof groups;
    specimen_equal(getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &length), 0);
    specimen_equal(length, count * sizeof *groups);
    for (int i = 0; i < count; i++) specimen_equal(groups[i], first + i);
}

int main(void) {
    int none[2], some[2];
    be_in(1000, MANY);
    int listener = unix_listening(SOCK_STREAM, "name", 5);
    be_in(7, 2);
    int client = unix_connected(SOCK_STREAM, "name"), server = unix_accepted(listener);
    unix_pair(SOCK_DGRAM, some);
    be_in(0, 0);
    unix_pair(SOCK_SEQPACKET, none);
    be_in(40, 3);
    int late = unix_connected(SOCK_STREAM, "name");

    specimen_ready();
    specimen_wait();

    expect_groups(client, 1000, MANY);
    expect_groups(server, 7, 2);
    expect_groups(some[0], 7, 2), expect_groups(some[1], 7, 2);
    expect_groups(none[0], 0, 0), expect_groups(none[1], 0, 0);
    expect_groups(late, 1000, MANY);
    int accepted = unix_accepted(listener);
    expect_groups(accepted, 40, 3);
    unix_expect_made_by(accepted, getpid(), 0, 0);
    unix_talk(late, accepted), unix_talk(client, server);
    return specimen_pass();
}
