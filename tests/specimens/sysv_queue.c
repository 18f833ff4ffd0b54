/* specimen: System V message queue with messages of several types | group: objects | needs: root */
#include "sysv.h"

int main(void) {
    sysv_namespace();
    int id = msgget(SYSV_KEY, IPC_CREAT | 0622);
    sysv_send(id, 5, "first");
    sysv_send(id, 1, "");
    sysv_send(id, 0x7fffffffffffL, "a type of many bits");
    sysv_send(id, 5, "last");
    struct msqid_ds found;
    specimen_equal(msgctl(id, IPC_STAT, &found), 0);
    found.msg_qbytes = 1000;
    specimen_equal(msgctl(id, IPC_SET, &found), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(msgget(SYSV_KEY, 0), id);
    specimen_equal(msgctl(id, IPC_STAT, &found), 0);
    specimen_equal(found.msg_qbytes, 1000);
    specimen_equal(found.msg_qnum, 4);
    specimen_equal(found.msg_perm.mode, 0622);
    sysv_receive(id, 0, 5, "first");
    sysv_receive(id, -6, 1, "");
    sysv_receive(id, 5, 5, "last");
    sysv_receive(id, 0, 0x7fffffffffffL, "a type of many bits");
    return specimen_pass();
}
