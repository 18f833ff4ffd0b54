/* heartbeat MIB FILE: holds MIB of incompressible memory, and keeps telling in FILE (mapped, shared) how it goes:
 * word 0 counts beats, word 1 is the longest time between two beats in ns; whoever sets it to 0 starts anew. Whoever sets
 * word 2 has it forked, and then finds there how many ns that took it. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int count, char **words) {
    if (count != 3) return 2;
    size_t size = strtoull(words[1], NULL, 10) << 20;
    uint64_t seed = 88172645463325252ull;
    uint64_t *memory = mmap(NULL, size + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < size / 8; i++) {
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        memory[i] = seed;
    }
    int fd = open(words[2], O_RDWR | O_CREAT, 0600);
    if (ftruncate(fd, 4096)) return 1;
    volatile uint64_t *beat = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    uint64_t last = 0;
    for (;;) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        uint64_t time = now.tv_sec * 1000000000ull + now.tv_nsec;
        if (beat[2] == 1) {
            pid_t child = fork();
            if (child == 0) _exit(0);
            clock_gettime(CLOCK_MONOTONIC, &now);
            beat[2] = now.tv_sec * 1000000000ull + now.tv_nsec - time;
            waitpid(child, NULL, 0);
            last = 0;
            continue;
        }
        if (last && time - last > beat[1]) beat[1] = time - last;
        last = time;
        beat[0]++;
    }
}
