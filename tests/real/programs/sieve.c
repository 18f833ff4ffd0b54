/* Two threads that sieve and hash; the same source is linked statically, and against another C library. They do not end
 * while there is a file "hold". */
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LIMIT = 4000000, ROUNDS = 300 };

struct part { int first; uint64_t hash; double sum; };
static __thread uint64_t state;

static void *work(void *argument) {
    struct part *part = argument;
    unsigned char *composite = malloc(LIMIT);
    state = 88172645463325252ull + part->first;
    for (int round = 0; round < ROUNDS; round++) {
        do {
            memset(composite, 0, LIMIT);
            for (int i = 2; i * i < LIMIT; i++)
                if (!composite[i])
                    for (int j = i * i; j < LIMIT; j += i) composite[j] = 1;
        } while (round == ROUNDS - 1 && access("hold", F_OK) == 0);
        for (int i = 2 + part->first; i < LIMIT; i += 2)
            if (!composite[i]) {
                state ^= state << 13, state ^= state >> 7, state ^= state << 17;
                part->hash = part->hash * 31 + (uint64_t)i * state;
                part->sum += sqrt((double)i) * 1e-3;
            }
        if (part->first) {
            FILE *progress = fopen("progress", "w");
            fprintf(progress, "%d\n", round);
            fclose(progress);
        }
    }
    free(composite);
    return NULL;
}

int main(void) {
    struct part parts[2] = {{.first = 0}, {.first = 1}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, work, &parts[i])) abort();
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 2; i++) printf("%d %016llx %.17g\n", i, (unsigned long long)parts[i].hash, parts[i].sum);
    return 0;
}
