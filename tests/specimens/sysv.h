/* System V IPC, in an IPC namespace that the specimen has for itself: all objects of it come along, and others
 * that run at the same time do not see them. */
#ifndef SYSV_H
#define SYSV_H

#include "memory.h"
#include "peer.h"

#include <sched.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#define SYSV_KEY 0x5c0ffee5

static inline void sysv_namespace(void) { specimen_check(unshare(CLONE_NEWIPC) == 0); }

static inline void *sysv_attach(int id, int flags) {
    void *area = shmat(id, NULL, flags);
    specimen_check(area != (void *)-1);
    return area;
}

static inline struct shmid_ds sysv_segment(int id) {
    struct shmid_ds found;
    specimen_equal(shmctl(id, IPC_STAT, &found), 0);
    return found;
}

static inline void sysv_operate(int id, int number, int operation, int flags) {
    struct sembuf one = {.sem_num = number, .sem_op = operation, .sem_flg = flags};
    specimen_equal(semop(id, &one, 1), 0);
}

static inline void sysv_set(int id, int number, int value) { specimen_equal(semctl(id, number, SETVAL, value), 0); }
static inline void sysv_value(int id, int number, int expected) { specimen_equal(semctl(id, number, GETVAL), expected); }

struct sysv_message {
    long type;
    char text[4096];
};

static inline void sysv_send(int id, long type, const char *text) {
    struct sysv_message message = {.type = type};
    strcpy(message.text, text);
    specimen_equal(msgsnd(id, &message, strlen(text), 0), 0);
}

static inline void sysv_receive(int id, long wanted, long type, const char *text) {
    struct sysv_message message;
    specimen_equal(msgrcv(id, &message, sizeof message.text, wanted, 0), strlen(text));
    specimen_equal(message.type, type);
    specimen_check(memcmp(message.text, text, strlen(text)) == 0);
}

#endif
