/* specimen: System V message queues that processes wait for, to send and to receive | group: objects | needs: root */
#include "sysv.h"

static int full, empty;

static void sender(struct peer *me) {
    peer_turn(me);
    sysv_send(full, 2, "one more");
    peer_turn(me);
}

static void receiver(struct peer *me) {
    peer_turn(me);
    sysv_receive(empty, 7, 7, "at last");
    peer_turn(me);
}

int main(void) {
    sysv_namespace();
    full = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
    empty = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
    struct msqid_ds found;
    specimen_equal(msgctl(full, IPC_STAT, &found), 0);
    found.msg_qbytes = 10;
    specimen_equal(msgctl(full, IPC_SET, &found), 0);
    sysv_send(full, 1, "0123456789");
    struct peer *one = peer_start(sender), *two = peer_start(receiver);
    peer_tell(one);
    peer_tell(two);
    peer_await_call(one->pid, SYS_msgsnd);
    peer_await_call(two->pid, SYS_msgrcv);

    specimen_ready();
    specimen_wait();

    peer_await_call(one->pid, SYS_msgsnd);
    peer_await_call(two->pid, SYS_msgrcv);
    sysv_receive(full, 0, 1, "0123456789");
    peer_wait(one);
    sysv_receive(full, 0, 2, "one more");
    sysv_send(empty, 3, "of another type");
    sysv_send(empty, 7, "at last");
    peer_wait(two);
    sysv_receive(empty, 0, 3, "of another type");
    peer_end(one);
    peer_end(two);
    return specimen_pass();
}
