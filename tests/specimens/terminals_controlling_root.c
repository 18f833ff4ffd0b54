/* specimen: the root of the tree itself has the terminal, whose master it holds as well | group: terminals | needs: nothing */
#include "terminals.h"

static volatile sig_atomic_t interrupts;
static void count(int number) { (void)number, interrupts++; }

int main(void) {
    if (getsid(0) != getpid()) specimen_skip("not started as session leader");
    struct terminal pair = terminal_open();
    specimen_equal(ioctl(pair.slave, TIOCSCTTY, 0), 0);
    struct sigaction action = {.sa_handler = count};
    sigaction(SIGINT, &action, NULL);
    int tty = open("/dev/tty", O_RDWR);
    specimen_check(tty >= 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(tcgetsid(pair.slave), getpid());
    specimen_equal(tcgetpgrp(tty), getpid());
    terminal_type(pair.master, "\003");
    while (!interrupts) sched_yield();
    specimen_equal(interrupts, 1);
    specimen_check(open("/dev/tty", O_RDWR) >= 0);
    terminal_expect(pair.master, "^C");
    specimen_equal(write(tty, "tty", 3), 3);
    terminal_expect(pair.master, "tty");
    return specimen_pass();
}
