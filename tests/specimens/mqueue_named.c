/* specimen: message queue with a name, and messages of several priorities in it | group: objects | needs: nothing */
#include "queues.h"

int main(void) {
    int fd = mqueue_new(O_RDWR | O_NONBLOCK, 5, 200);
    specimen_equal(mq_send(fd, "low", 3, 1), 0);
    specimen_equal(mq_send(fd, "high", 4, 30), 0);
    specimen_equal(mq_send(fd, "low too", 7, 1), 0);

    specimen_ready();
    specimen_wait();

    mqueue_expect_attributes(fd, O_NONBLOCK, 5, 200, 3);
    specimen_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    mqueue_expect(fd, "high", 30);
    mqueue_expect(fd, "low", 1);
    mqueue_expect(fd, "low too", 1);
    char buffer[256];
    files_fails(mq_receive(fd, buffer, sizeof buffer, NULL), EAGAIN);
    /* Another image may still be restarted that has the messages. */
    specimen_equal(mq_send(fd, "low", 3, 1), 0);
    specimen_equal(mq_send(fd, "high", 4, 30), 0);
    specimen_equal(mq_send(fd, "low too", 7, 1), 0);
    return specimen_pass();
}
