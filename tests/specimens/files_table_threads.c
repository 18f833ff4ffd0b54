/* specimen: descriptor table shared by threads: one opens, the other reads | group: files | needs: nothing */
#include "files.h"

#include <pthread.h>
#include <semaphore.h>

static sem_t set_up, go;

static void *run(void *unused) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    files_open_at(5, "data", O_RDONLY);
    files_expect(5, 100, 1, 0);
    sem_post(&set_up);
    while (sem_wait(&go) != 0) {}
    files_expect(3, 100, 1, 0);
    close(5);
    return unused;
}

int main(void) {
    files_make("data", 1000, 1);
    sem_init(&set_up, 0, 0), sem_init(&go, 0, 0);
    pthread_t thread;
    specimen_equal(pthread_create(&thread, NULL, run, NULL), 0);
    while (sem_wait(&set_up) != 0) {}

    specimen_ready();
    specimen_wait();

    specimen_equal(files_offset(5), 100);
    files_open_at(3, "data", O_RDONLY);
    sem_post(&go);
    specimen_equal(pthread_join(thread, NULL), 0);
    specimen_equal(files_is_open(5), 0);
    specimen_equal(files_offset(3), 100);
    return specimen_pass();
}
