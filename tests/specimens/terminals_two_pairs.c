/* specimen: two pairs that look the same, the slave of one known only to a child | group: terminals | needs: nothing */
#include "terminals.h"

static struct terminal one, two;

static void child(struct peer *me) {
    close(one.master), close(two.master), close(two.slave);
    peer_turn(me);
    terminal_expect(one.slave, "to one");
    terminal_type(one.slave, "from one");
    peer_turn(me);
}

int main(void) {
    one = terminal_open(), two = terminal_open();
    terminal_plain(one.slave, 0), terminal_plain(two.slave, 0);
    struct peer *peer = peer_start(child);
    close(one.slave);

    specimen_ready();
    specimen_wait();

    terminal_type(one.master, "to one");
    terminal_type(two.master, "to two");
    peer_step(peer);
    terminal_expect(one.master, "from one");
    terminal_expect(two.slave, "to two");
    peer_end(peer);
    return specimen_pass();
}
