/* specimen: two IPC namespaces of the tree, with shared memory of one number, semaphores and messages | group: ns | needs: root, new namespaces */
#include "ns.h"
#include "sysv.h"

static void inside(struct peer *me) {
    int number = *(int *)me->data;
    unsigned long long outside = ns_inode("ipc");
    char text[32];
    snprintf(text, sizeof text, "room %d", number);
    specimen_equal(unshare(CLONE_NEWIPC), 0);
    int segment = shmget(SYSV_KEY, 8192, IPC_CREAT | 0640);
    specimen_equal(segment, 0); /* as in the other one */
    char *area = sysv_attach(segment, 0);
    strcpy(area + 4096, text);
    int lone = shmget(SYSV_KEY + 1, 4096, IPC_CREAT | 0600); /* that nobody has attached */
    char *other = sysv_attach(lone, 0);
    strcpy(other, text);
    specimen_equal(shmdt(other), 0);
    int set = semget(SYSV_KEY, 2, IPC_CREAT | 0600);
    sysv_set(set, 0, 10 * number);
    int queue = msgget(SYSV_KEY, IPC_CREAT | 0600);
    sysv_send(queue, number, text);
    peer_turn(me);

    specimen_check(ns_inode("ipc") != outside);
    specimen_check(!strcmp(area + 4096, text));
    specimen_equal(area[0], 0);
    specimen_equal(sysv_segment(segment).shm_nattch, 1);
    specimen_equal(shmget(SYSV_KEY, 0, 0), segment);
    specimen_equal(shmget(SYSV_KEY + 1, 0, 0), lone);
    other = sysv_attach(lone, 0);
    specimen_check(!strcmp(other, text));
    sysv_value(set, 0, 10 * number);
    sysv_receive(queue, 0, number, text);
}

int main(void) {
    ns_need(CLONE_NEWIPC);
    static int numbers[] = {1, 2};
    struct peer *first = peer_start_with(inside, &numbers[0]);
    struct peer *second = peer_start_with(inside, &numbers[1]);

    specimen_ready();
    specimen_wait();

    peer_end(first);
    peer_end(second);
    return specimen_pass();
}
