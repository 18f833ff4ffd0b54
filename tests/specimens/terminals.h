/* Helpers of the terminals specimens: pseudoterminal pairs that live inside the tree (pty(7)). */
#ifndef TERMINALS_H
#define TERMINALS_H

#include "files.h"
#include "peer.h"

#include <sys/ioctl.h>
#include <termios.h>

struct terminal {
    int master, slave;
    char path[64]; /* of the slave; a restart may have to give it another number */
};

static inline struct terminal terminal_open(void) {
    struct terminal pair;
    pair.master = posix_openpt(O_RDWR | O_NOCTTY);
    specimen_check(pair.master >= 0 && grantpt(pair.master) == 0 && unlockpt(pair.master) == 0);
    specimen_equal(ptsname_r(pair.master, pair.path, sizeof pair.path), 0);
    pair.slave = open(pair.path, O_RDWR | O_NOCTTY);
    specimen_check(pair.slave >= 0);
    return pair;
}

/* No echo, no output processing: what goes in comes out. Lines stay lines if *lines*. */
static inline void terminal_plain(int slave, int lines) {
    struct termios settings;
    specimen_equal(tcgetattr(slave, &settings), 0);
    cfmakeraw(&settings);
    if (lines) settings.c_lflag |= ICANON;
    settings.c_cc[VMIN] = lines ? settings.c_cc[VMIN] : 1;
    specimen_equal(tcsetattr(slave, TCSANOW, &settings), 0);
}

/* Read from *fd* until *text* has come; nothing else may come, and nothing may follow. */
static inline void terminal_expect(int fd, const char *text) {
    size_t size = strlen(text), got = 0;
    char bytes[4096];
    while (got < size) {
        struct pollfd entry = {.fd = fd, .events = POLLIN};
        int ready = poll(&entry, 1, 20000);
        if (ready < 0 && errno == EINTR) continue;
        if (ready != 1) specimen_fail("after \"%.*s\" nothing more came of \"%s\"", (int)got, bytes, text);
        ssize_t more = read(fd, bytes + got, sizeof bytes - got);
        specimen_check(more > 0);
        got += more;
    }
    if (got != size || memcmp(bytes, text, size)) specimen_fail("read \"%.*s\", not \"%s\"", (int)got, bytes, text);
}

static inline void terminal_type(int master, const char *text) {
    specimen_equal(write(master, text, strlen(text)), strlen(text));
}

/* Input on its way from the master to the slave passes through a kernel worker: wait until it has arrived.
 * (In line mode FIONREAD counts complete lines only.) */
static inline void terminal_await_input(int slave, int bytes) {
    while (files_unread(slave) < bytes) sched_yield();
}

/* The caller becomes leader of a session of its own, with *slave* as its controlling terminal. */
static inline void terminal_control(int slave) {
    specimen_equal(setsid(), getpid());
    specimen_equal(ioctl(slave, TIOCSCTTY, 0), 0);
}

/* Wait until the process is stopped or asleep, as its state letter in /proc/PID/stat says. */
static inline void terminal_await_state(pid_t pid, char wanted) {
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    for (;;) {
        memory_read_proc(path, text, sizeof text);
        if (strrchr(text, ')')[2] == wanted) return;
        sched_yield();
    }
}

#endif
