/* specimen: child blocked in read of a line, like a shell at its prompt | group: terminals | needs: nothing */
#include "terminals.h"

#include <sys/syscall.h>

static struct terminal pair;

static void shell(struct peer *me) {
    close(pair.master);
    specimen_equal(dup2(pair.slave, STDIN_FILENO), STDIN_FILENO);
    terminal_control(pair.slave);
    terminal_type(pair.slave, "$ ");
    peer_turn(me);
    char line[64];
    ssize_t got = read(STDIN_FILENO, line, sizeof line);
    if (got < 0) specimen_fail("read: %s", strerror(errno));
    specimen_equal(got, 8);
    specimen_equal(memcmp(line, "command\n", 8), 0);
    terminal_type(pair.slave, "done\n");
}

int main(void) {
    pair = terminal_open();
    struct peer *peer = peer_start(shell);
    peer_tell(peer);
    peer_await_call(peer->pid, SYS_read);

    specimen_ready();
    specimen_wait();

    terminal_type(pair.master, "command\r");
    terminal_expect(pair.master, "$ command\r\ndone\r\n");
    peer_reap(peer);
    return specimen_pass();
}
