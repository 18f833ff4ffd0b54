/* Helpers of the lock specimens: locks of bytes, and whether somebody else could have them. */
#ifndef LOCKS_H
#define LOCKS_H

#include "files.h"
#include "peer.h"

#include <sys/file.h>

static inline struct flock lock_of(int type, off_t start, off_t length) {
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    return lock;
}

static inline void lock_set(int fd, int command, int type, off_t start, off_t length) {
    struct flock lock = lock_of(type, start, length);
    specimen_equal(fcntl(fd, command, &lock), 0);
}

/* Who prevents a lock of *type* by somebody else than the caller: a PID, -1 for an open file description, 0 for nobody. */
static inline pid_t lock_holder(int fd, int type, off_t start, off_t length) {
    struct flock lock = lock_of(type, start, length);
    specimen_equal(fcntl(fd, F_GETLK, &lock), 0);
    return lock.l_type == F_UNLCK ? 0 : lock.l_pid;
}

/* What a child sees, since nobody is kept out by his own locks: the holder of a byte, and where its lock begins and ends. */
struct lock_seen { pid_t pid; short type; off_t start, length; };
static inline struct lock_seen lock_seen_by_child(const char *name, off_t at) {
    struct lock_seen *seen = peer_shared(sizeof *seen), result;
    pid_t child = fork();
    specimen_check(child >= 0);
    if (child == 0) {
        int fd = open(name, O_RDWR | O_CLOEXEC);
        struct flock lock = lock_of(F_WRLCK, at, 1);
        if (fd < 0 || fcntl(fd, F_GETLK, &lock)) _exit(1);
        *seen = (struct lock_seen){lock.l_type == F_UNLCK ? 0 : lock.l_pid, lock.l_type, lock.l_start, lock.l_len};
        _exit(0);
    }
    int status;
    specimen_equal(waitpid(child, &status, 0), child);
    specimen_equal(status, 0);
    result = *seen;
    munmap(seen, sizeof *seen);
    return result;
}

#endif
