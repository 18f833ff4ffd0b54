/* many WHAT COUNT: a process that has COUNT of something, which it says by "ready": processes and threads asleep, files
 * open, pipes (two descriptors each), established TCP connections (both ends), mappings. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void *sleeper(void *nothing) {
    for (;;) pause();
    return nothing;
}

static void process(int number) {
    (void)number;
    if (fork() == 0) sleeper(NULL);
}

static void thread(int number) {
    (void)number;
    pthread_t one;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    if (pthread_create(&one, &small, sleeper, NULL)) fail("thread");
}

/* No process has more than 10,000 descriptors: then a child goes on without them. */
static void spread(int number) {
    if (number && number % 10000 == 0) {
        fflush(stdout);
        if (fork()) sleeper(NULL);
        close_range(3, ~0U, 0);
    }
}

static void file(int number) {
    spread(number);
    char name[32];
    snprintf(name, sizeof name, "file-%d", number % 100);
    if (open(name, O_RDWR | O_CREAT, 0600) < 0) fail(name);
}

static void a_pipe(int number) {
    (void)number;
    int ends[2];
    if (pipe(ends)) fail("pipe");
}

static void connection(int number) {
    static int listener;
    static struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    if (number == 0) {
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        listener = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(listener, (void *)&address, size) || listen(listener, 16)) fail("listen");
        if (getsockname(listener, (void *)&address, &size)) fail("getsockname");
    }
    int client = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(client, (void *)&address, size) || accept(listener, NULL, NULL) < 0) fail("connect");
}

static void mapping(int number) {
    static char *next;
    if (number == 0) next = mmap(NULL, 1UL << 32, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    /* Every other page has another protection, so none can be merged with its neighbour. */
    if (mprotect(next + number * 8192UL, 4096, PROT_READ | PROT_WRITE)) fail("mprotect");
    next[number * 8192UL] = 1;
}

int main(int count, char **words) {
    static const struct {
        const char *name;
        void (*make)(int);
    } kinds[] = {{"processes", process}, {"threads", thread},  {"files", file},
                 {"pipes", a_pipe},      {"tcp", connection}, {"mappings", mapping}};
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (int word = 1; word + 1 < count; word += 2)
        for (unsigned kind = 0; kind < sizeof kinds / sizeof *kinds; kind++)
            if (strcmp(words[word], kinds[kind].name) == 0)
                for (int number = 0; number < atoi(words[word + 1]); number++) kinds[kind].make(number);
    puts("ready");
    fflush(stdout);
    sleeper(NULL);
}
