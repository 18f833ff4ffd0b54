/* specimen: message queue that was unlinked, with messages in it | group: objects | needs: root, bpf */
#include "queues.h"

int main(void) {
    int fd = mqueue_new(O_RDWR, 3, 100);
    specimen_equal(mq_unlink(mqueue_name()), 0);
    specimen_equal(mq_send(fd, "hello", 5, 3), 0);
    specimen_equal(mq_send(fd, "", 0, 3), 0);
    specimen_equal(mq_send(fd, "urgent", 6, 30), 0); /* it is full */

    specimen_ready();
    specimen_wait();

    mqueue_expect_attributes(fd, 0, 3, 100, 3);
    mqueue_expect(fd, "urgent", 30);
    mqueue_expect(fd, "hello", 3);
    mqueue_expect(fd, "", 3);
    return specimen_pass();
}
