/* A process with MIB of memory that is never zero, and COUNT - 1 children that share it: prefork COUNT MIB.

   Each child, and the parent after it has borne them, writes to a few pages of it. "ready" when all are there. On
   SIGTERM the parent looks at its memory, and asks each child to, and exits with 0 if all is as it was. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned long *memory;
static size_t pages;
static int who;

static unsigned long expected(size_t page) {
    if (who ? page % 64 == 7 : page % 64 == 9) return page + 1000003ul * who + 5;
    return page * 2654435761ul + 1;
}

static int is_whole(void) {
    for (size_t page = 0; page < pages; page++)
        if (memory[page * 512] != expected(page) || memory[page * 512 + 511] != page) return 0;
    return 1;
}

static void finish(int number) {
    (void)number;
    _exit(is_whole() ? 0 : 3);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    int count = atoi(argv[1]);
    size_t size = (size_t)atoi(argv[2]) << 20;
    pages = size / 4096;
    memory = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 2;
    for (size_t page = 0; page < pages; page++) {
        memory[page * 512] = page * 2654435761ul + 1;
        memory[page * 512 + 511] = page;
    }
    pid_t *children = calloc(count, sizeof *children);
    int ready[2];
    if (pipe(ready)) return 2;
    for (int child = 1; child < count; child++)
        if ((children[child] = fork()) == 0) {
            who = child;
            signal(SIGTERM, finish);
            for (size_t page = 0; page < pages; page++)
                if (page % 64 == 7) memory[page * 512] = expected(page);
            if (write(ready[1], "!", 1) != 1) return 2;
            close(ready[0]);
            close(ready[1]);
            for (;;) pause();
        }
    char done;
    for (int child = 1; child < count; child++)
        if (read(ready[0], &done, 1) != 1) return 2;
    close(ready[0]);
    close(ready[1]);
    for (size_t page = 0; page < pages; page++)
        if (page % 64 == 9) memory[page * 512] = expected(page);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, 0);
    puts("ready");
    fflush(stdout);
    int number;
    sigwait(&set, &number);
    int bad = !is_whole();
    for (int child = 1; child < count; child++) {
        int status;
        kill(children[child], SIGTERM);
        if (waitpid(children[child], &status, 0) < 0 || status) bad = 1;
    }
    return bad ? 3 : 0;
}
