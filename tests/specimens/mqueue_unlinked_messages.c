/* specimen: message queue that was unlinked, with messages in it | group: objects | needs: refusal as with 1 messages that nobody has received */
#include "queues.h"

int main(void) {
    int fd = mqueue_new(O_RDWR, 3, 100);
    specimen_equal(mq_unlink(mqueue_name()), 0);
    specimen_equal(mq_send(fd, "hello", 5, 3), 0);

    specimen_ready();
    specimen_wait();

    mqueue_expect(fd, "hello", 3);
    return specimen_pass();
}
