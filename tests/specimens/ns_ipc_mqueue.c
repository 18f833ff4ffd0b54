/* specimen: POSIX message queues in an IPC namespace of the tree, open, closed, unlinked, with messages, and of the namespace left | group: ns | needs: root, new namespaces, bpf */
#include "ns.h"
#include "queues.h"

static void inside(struct peer *me) {
    int left = *(int *)me->data;
    specimen_equal(unshare(CLONE_NEWIPC), 0);
    struct mq_attr attr = {.mq_maxmsg = 4, .mq_msgsize = 64};
    int open = (int)mq_open("/open", O_RDWR | O_NONBLOCK | O_CREAT | O_EXCL, 0604, &attr);
    specimen_check(open >= 0);
    specimen_equal(fchown(open, 12, 34), 0);
    attr.mq_maxmsg = 3;
    attr.mq_msgsize = 5000;
    int fd = (int)mq_open("/closed", O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
    static char large[5000] = "large";
    large[4999] = 'x';
    specimen_equal(mq_send(fd, "before", 6, 3), 0);
    specimen_equal(mq_send(fd, large, sizeof large, 3), 0);
    specimen_equal(close(fd), 0);
    attr.mq_maxmsg = 2;
    int unlinked = (int)mq_open("/unlinked", O_RDWR | O_NONBLOCK | O_CREAT | O_EXCL, 0600, &attr);
    specimen_equal(mq_unlink("/unlinked"), 0);
    peer_turn(me);

    mqueue_expect_attributes(open, O_NONBLOCK, 4, 64, 0);
    mqueue_expect_attributes(unlinked, O_NONBLOCK, 2, 5000, 0);
    struct stat found;
    specimen_equal(fstat(open, &found), 0);
    specimen_equal(found.st_uid, 12);
    specimen_equal(found.st_gid, 34);
    specimen_equal(found.st_mode & 0777, 0604);
    int again = (int)mq_open("/open", O_RDWR);
    specimen_equal(mq_send(again, "text", 4, 5), 0);
    mqueue_expect(open, "text", 5);
    fd = (int)mq_open("/closed", O_RDWR | O_NONBLOCK);
    specimen_check(fd >= 0);
    mqueue_expect_attributes(fd, O_NONBLOCK, 3, 5000, 2);
    static char text[5000];
    specimen_equal(mq_receive(fd, text, sizeof text, NULL), 6);
    specimen_equal(mq_receive(fd, text, sizeof text, NULL), 5000);
    specimen_check(!memcmp(text, large, sizeof large));
    specimen_equal((int)mq_open("/unlinked", O_RDWR), -1);
    specimen_equal(mq_send(left, "outside", 7, 1), 0);
}

int main(void) {
    ns_need(CLONE_NEWIPC);
    int fd = mqueue_new(O_RDWR | O_NONBLOCK, 5, 200);
    struct peer *peer = peer_start_with(inside, &fd);

    specimen_ready();
    specimen_wait();

    peer_end(peer);
    mqueue_expect(fd, "outside", 1);
    return specimen_pass();
}
