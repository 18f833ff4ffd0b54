/* specimen: message queue that was unlinked, open twice: for sending and for receiving | group: objects | needs: nothing */
#include "queues.h"
#include "peer.h"

static int receiver;
static void child(struct peer *me) {
    peer_turn(me);
    mqueue_expect(receiver, "hello", 3);
}

int main(void) {
    int sender = mqueue_new(O_WRONLY, 3, 100);
    receiver = (int)mq_open(mqueue_name(), O_RDONLY);
    specimen_check(receiver >= 0);
    specimen_equal(mq_unlink(mqueue_name()), 0);
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    specimen_equal(mq_send(sender, "hello", 5, 3), 0);
    peer_end(peer);
    mqueue_expect_attributes(sender, 0, 3, 100, 0);
    specimen_equal(files_stat(sender).st_mode & 0777, 0640);
    char buffer[256];
    files_fails(mq_receive(sender, buffer, sizeof buffer, NULL), EBADF);
    files_fails(mq_open(mqueue_name(), O_RDONLY), ENOENT);
    return specimen_pass();
}
