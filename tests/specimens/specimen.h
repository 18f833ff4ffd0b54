/* What every specimen has in common: it says "ready", sleeps until SIGTERM, checks itself, says "PASS".
 *
 *     / * specimen: <one line for the support matrix> | group: <group> | needs: <root, … or nothing> * /
 *     #include "specimen.h"
 *
 *     int main(void) {
 *         …set up, children and threads included…
 *         specimen_ready();
 *         specimen_wait();
 *         …check: specimen_check(condition), specimen_equal(found, expected)…
 *         return specimen_pass();
 *     }
 *
 * Around specimen_wait the harness checkpoints, kills and restarts the tree, or does nothing at all. A
 * specimen must pass when nothing happens, and fail when a restart forgets the thing that it is about.
 * Everything printed goes to descriptor 1 by one write(2) a line, so that lines of several processes never
 * mix and a fork never inherits half of one.
 */
#ifndef SPECIMEN_H
#define SPECIMEN_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile sig_atomic_t specimen_told_; /* SIGTERM has come */
static volatile pid_t specimen_waiter_;      /* TID of the thread that called specimen_ready */

/* kill(2) may pick any thread that does not block the signal, but only the one in specimen_wait is to wake:
 * whoever is hit passes it on. */
static inline void specimen_handler_(int number) {
    int saved = errno;
    if (syscall(SYS_gettid) == specimen_waiter_) specimen_told_ = 1;
    else syscall(SYS_tgkill, getpid(), specimen_waiter_, number);
    errno = saved;
}

static inline void specimen_say_(const char *word, const char *format, va_list values) {
    char line[1024];
    int length = snprintf(line, sizeof line, "%s", word);
    length += vsnprintf(line + length, sizeof line - 1 - length, format, values);
    if (length > (int)sizeof line - 2) length = sizeof line - 2;
    line[length++] = '\n';
    if (write(1, line, length) != length) _exit(3);
}

/* Before threads are made that sleep in a call which a signal would end: SIGTERM is not for them. */
static inline void specimen_defer(void) {
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, NULL);
}

/* Everything is set up. From here on SIGTERM is blocked in the calling thread, but for specimen_wait. */
static inline void specimen_ready(void) {
    struct sigaction action = {.sa_handler = specimen_handler_};
    specimen_defer();
    specimen_waiter_ = (pid_t)syscall(SYS_gettid);
    sigaction(SIGTERM, &action, NULL);
    fflush(stdout);
    if (write(1, "ready\n", 6) != 6) _exit(3);
}

/* Sleep, in sigsuspend(2), until SIGTERM has come. Other signals are blocked as they were before. */
static inline void specimen_wait(void) {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    sigdelset(&mask, SIGTERM);
    while (!specimen_told_) sigsuspend(&mask);
}

/* Instead of specimen_wait, for a specimen that has something better to do than to sleep: from this call on
 * SIGTERM may come at any instant, and specimen_told says whether it has. */
static inline void specimen_listen(void) {
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_UNBLOCK, &term, NULL);
}
static inline int specimen_told(void) { return specimen_told_; }

/* The verdict of the root process: return it from main. */
static inline int specimen_pass(void) {
    fflush(stdout);
    if (write(1, "PASS\n", 5) != 5) _exit(3);
    return 0;
}

/* The verdict of any process of the specimen, which it ends. */
__attribute__((format(printf, 1, 2), noreturn)) static inline void specimen_fail(const char *format, ...) {
    va_list values;
    va_start(values, format);
    specimen_say_("FAIL: ", format, values);
    va_end(values);
    _exit(1);
}

/* Before specimen_ready: this machine does not have what the specimen is about. */
__attribute__((format(printf, 1, 2), noreturn)) static inline void specimen_skip(const char *format, ...) {
    va_list values;
    va_start(values, format);
    specimen_say_("SKIP: ", format, values);
    va_end(values);
    _exit(0);
}

#define specimen_check(condition) do { \
        if (!(condition)) \
            specimen_fail("%s:%d: not so: %s (errno %d, %s)", __FILE__, __LINE__, #condition, errno, strerror(errno)); \
    } while (0)

/* Whole numbers of any type, and pointers. */
#define specimen_equal(found, expected) do { \
        long long found_ = (long long)(found), expected_ = (long long)(expected); \
        if (found_ != expected_) \
            specimen_fail("%s:%d: %s is %lld (%#llx), not %lld (%#llx), which is %s", __FILE__, __LINE__, #found, \
                          found_, (unsigned long long)found_, expected_, (unsigned long long)expected_, #expected); \
    } while (0)

#define specimen_equal_text(found, expected) do { \
        const char *found_ = (found), *expected_ = (expected); \
        if (strcmp(found_, expected_) != 0) \
            specimen_fail("%s:%d: %s is \"%s\", not \"%s\"", __FILE__, __LINE__, #found, found_, expected_); \
    } while (0)

/* Belongs into the name of whatever is made in a folder of everybody: by it the harness knows what is its own. */
static inline const char *specimen_mark(void) {
    const char *mark = getenv("SPECIMEN_MARK");
    specimen_check(mark);
    return mark;
}

#endif
