/* specimen: a parent that gives out the memory of its child, of whose birth a userfaultfd has told it | group: memory | needs: root, userfaultfd, bpf */
#include "uffd.h"

#include <sys/wait.h>

static char *area;
static int down[2], up[2];

static void *child_of(void *argument) {
    (void)argument;
    pid_t child = fork();
    specimen_check(child >= 0);
    if (!child) {
        char byte;
        while (read(down[0], &byte, 1) != 1) continue;
        byte = *(volatile char *)(area + PAGE);
        specimen_equal(write(up[1], &byte, 1), 1);
        _exit(0);
    }
    return (void *)(intptr_t)child;
}

int main(void) {
    int fd = uffd_make(O_NONBLOCK, UFFD_FEATURE_EVENT_FORK);
    area = memory_anonymous(4 * PAGE, PROT_READ | PROT_WRITE);
    specimen_equal(uffd_register(fd, area, 4 * PAGE, UFFDIO_REGISTER_MODE_MISSING), 0);
    specimen_equal(uffd_zero(fd, area, PAGE), 0);
    specimen_equal(pipe(down), 0);
    specimen_equal(pipe(up), 0);
    pthread_t thread;
    specimen_equal(pthread_create(&thread, NULL, child_of, NULL), 0);
    struct uffd_msg message = uffd_next(fd);
    specimen_equal(message.event, UFFD_EVENT_FORK);
    int theirs = (int)message.arg.fork.ufd;
    void *child;
    specimen_equal(pthread_join(thread, &child), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(write(down[1], "x", 1), 1);
    uffd_expect(theirs, area + PAGE, 0);
    char *page = memory_anonymous(PAGE, PROT_READ | PROT_WRITE);
    memset(page, 'p', PAGE);
    specimen_equal(uffd_copy(theirs, area + PAGE, page, PAGE), 0);
    char byte;
    specimen_equal(read(up[0], &byte, 1), 1);
    specimen_equal(byte, 'p');
    int status;
    specimen_equal(waitpid((pid_t)(intptr_t)child, &status, 0), (pid_t)(intptr_t)child);
    specimen_equal(status, 0);
    uffd_expect_nothing(fd);
    struct uffd_access access;
    uffd_begin(&access, area + PAGE, 0);
    uffd_expect(fd, area + PAGE, 0);
    specimen_equal(uffd_zero(fd, area + PAGE, PAGE), 0);
    specimen_equal(uffd_end(&access), 0);
    return specimen_pass();
}
