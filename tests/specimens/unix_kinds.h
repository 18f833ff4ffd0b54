/* Specimens of unix sockets that are the same for each type of socket; each returns what main returns. */
#ifndef UNIX_KINDS_H
#define UNIX_KINDS_H

#include "unix.h"

/* The two ends of a pair in one process. */
static inline int kinds_pair(int type) {
    int pair[2];
    unix_pair(type, pair);

    specimen_ready();
    specimen_wait();

    unix_talk(pair[0], pair[1]);
    unix_expect_name(pair[0], NULL);
    unix_expect_peer(pair[0], NULL);
    unix_expect_made_by(pair[0], getpid(), geteuid(), getegid());
    unix_expect_made_by(pair[1], getpid(), geteuid(), getegid());
    return specimen_pass();
}

/* Messages in both directions that nobody has received. */
static inline int kinds_unread(int type) {
    int pair[2];
    unix_pair(type, pair);
    unix_send(pair[0], "one"), unix_send(pair[0], "two"), unix_send(pair[0], "three");
    unix_send(pair[1], "back");

    specimen_ready();
    specimen_wait();

    unix_expect(pair[1], "one"), unix_expect(pair[1], "two"), unix_expect(pair[1], "three");
    unix_expect(pair[0], "back"), unix_expect_nothing(pair[0]);
    return specimen_pass();
}

/* One end that was closed, with data that the other has not read. */
static inline int kinds_closed(int type) {
    int pair[2];
    unix_pair(type, pair);
    unix_send(pair[1], "last words");
    close(pair[1]);

    specimen_ready();
    specimen_wait();

    specimen_check(unix_poll(pair[0], POLLIN | POLLHUP) & POLLHUP);
    unix_expect(pair[0], "last words");
    unix_expect_end(pair[0]);
    specimen_check(send(pair[0], "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
    unix_expect_made_by(pair[0], getpid(), geteuid(), getegid());
    return specimen_pass();
}

/* A connection to a listening socket, with data in both directions. */
static inline int kinds_connected(int type) {
    int listener = unix_listening(type, "name", 5);
    int client = unix_connected(type, "name"), server = unix_accepted(listener);
    unix_send(client, "question"), unix_send(server, "answer");

    specimen_ready();
    specimen_wait();

    unix_expect_name(server, "name"), unix_expect_peer(client, "name");
    unix_expect_name(client, NULL), unix_expect_peer(server, NULL);
    unix_expect(server, "question"), unix_expect(client, "answer");
    unix_talk(client, server);
    int next = unix_connected(type, "name"), its = unix_accepted(listener);
    unix_talk(next, its);
    return specimen_pass();
}

static inline void kinds_passcred_child(struct peer *me) {
    int *pair = me->data;
    unix_send(pair[1], "child");
    peer_turn(me);
    unix_send(pair[1], "child");
    peer_turn(me);
}

/* Messages of two processes to a socket that tells who has sent them (SO_PASSCRED). */
static inline int kinds_passcred(int type) {
    int pair[2];
    unix_pair(type, pair);
    unix_set(pair[0], SO_PASSCRED, 1);
    struct peer *peer = peer_start_with(kinds_passcred_child, pair);
    unix_send(pair[1], "parent");
    peer_step(peer);

    specimen_ready();
    specimen_wait();

    struct ucred sender;
    unix_expect_fds(pair[0], "child", NULL, 0, &sender);
    specimen_equal(sender.pid, peer->pid);
    unix_expect_fds(pair[0], "parent", NULL, 0, &sender);
    specimen_equal(sender.pid, getpid());
    unix_expect_fds(pair[0], "child", NULL, 0, &sender);
    specimen_equal(sender.pid, peer->pid);
    specimen_equal(sender.uid, geteuid());
    unix_send(pair[1], "new");
    unix_expect_fds(pair[0], "new", NULL, 0, &sender);
    specimen_equal(sender.pid, getpid());
    peer_end(peer);
    return specimen_pass();
}

#endif
