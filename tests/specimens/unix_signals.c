/* specimen: socket that tells by a signal what can be read | group: sockets | needs: nothing */
#include "unix.h"

static volatile sig_atomic_t counted;
static void count(int number) { (void)number, counted++; }

int main(void) {
    int pair[2];
    unix_pair(SOCK_STREAM, pair);
    struct sigaction action = {.sa_handler = count};
    sigaction(SIGUSR1, &action, NULL);
    specimen_check(fcntl(pair[0], F_SETOWN, getpid()) == 0 && fcntl(pair[0], F_SETSIG, SIGUSR1) == 0);
    specimen_check(fcntl(pair[0], F_SETFL, O_ASYNC | O_NONBLOCK) == 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(fcntl(pair[0], F_GETOWN), getpid());
    specimen_check(files_flags(pair[0]) & O_ASYNC && files_flags(pair[0]) & O_NONBLOCK);
    int before = counted;
    unix_send(pair[1], "x");
    specimen_check(counted > before);
    return specimen_pass();
}
