/* specimen: sysctls of IPC namespaces: that of the root, and one that its child has made | group: ns | needs: root, new namespaces */
#include "ns.h"
#include "sysv.h"

static void set(const char *name, const char *value) {
    char path[80];
    snprintf(path, sizeof path, "/proc/sys/%s", name);
    FILE *file = fopen(path, "w");
    if (!file) specimen_skip("%s cannot be written: %s", path, strerror(errno));
    fputs(value, file);
    specimen_equal(fclose(file), 0);
}

static void expect(const char *name, const char *value) {
    char path[80], found[128] = "";
    snprintf(path, sizeof path, "/proc/sys/%s", name);
    FILE *file = fopen(path, "r");
    specimen_check(file);
    specimen_check(fgets(found, sizeof found, file));
    fclose(file);
    specimen_equal_text(found, value);
}

static void inside(struct peer *me) {
    specimen_equal(unshare(CLONE_NEWIPC), 0);
    set("kernel/msgmax", "70000");
    set("kernel/msgmnb", "80000");
    int queue = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
    static struct { long type; char text[70000]; } large = {.type = 3};
    specimen_equal(msgsnd(queue, &large, sizeof large.text, 0), 0);
    int segment = shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600);
    set("kernel/shmmax", "4096"); /* less than what is there already */
    set("kernel/sem", "300\t4000\t50\t60");
    set("fs/mqueue/msg_max", "77");
    peer_turn(me);
    expect("kernel/msgmax", "70000\n");
    expect("kernel/msgmnb", "80000\n");
    expect("kernel/shmmax", "4096\n");
    expect("kernel/sem", "300\t4000\t50\t60\n");
    expect("fs/mqueue/msg_max", "77\n");
    expect("fs/mqueue/queues_max", "256\n");
    specimen_equal(shmget(IPC_PRIVATE, 4097, 0600), -1);
    specimen_equal(sysv_segment(segment).shm_segsz, 8192);
    specimen_equal(msgrcv(queue, &large, sizeof large.text, 0, IPC_NOWAIT), 70000);
}

int main(void) {
    ns_need(CLONE_NEWIPC);
    sysv_namespace();
    set("kernel/shmmni", "77");
    set("kernel/shm_rmid_forced", "1");
    struct peer *peer = peer_start(inside);

    specimen_ready();
    specimen_wait();

    expect("kernel/shmmni", "77\n");
    expect("kernel/shm_rmid_forced", "1\n");
    expect("kernel/msgmax", "8192\n");
    peer_end(peer);
    return specimen_pass();
}
