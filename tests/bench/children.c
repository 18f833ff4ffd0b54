/* A process with COUNT - 1 children, all asleep: children COUNT. It says "ready" when all are there. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    for (int left = atoi(argv[1]); left > 1; left--)
        if (fork() == 0)
            for (;;) pause();
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}
