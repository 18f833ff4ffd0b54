/* Helpers of the message queue specimens. */
#ifndef QUEUES_H
#define QUEUES_H

#include "files.h"

#include <mqueue.h>

static inline const char *mqueue_name(void) {
    static char name[64];
    snprintf(name, sizeof name, "/specimen-%s", specimen_mark());
    return name;
}
static inline int mqueue_new(int flags, long most, long largest) {
    struct mq_attr attr = {.mq_maxmsg = most, .mq_msgsize = largest};
    mq_unlink(mqueue_name());
    int fd = (int)mq_open(mqueue_name(), flags | O_CREAT | O_EXCL, 0640, &attr);
    if (fd < 0) specimen_skip("no message queues: %s", strerror(errno));
    return fd;
}
static inline void mqueue_expect(int fd, const char *text, unsigned priority) {
    char buffer[256] = "";
    unsigned found;
    specimen_equal(mq_receive(fd, buffer, sizeof buffer, &found), strlen(text));
    specimen_equal_text(buffer, text);
    specimen_equal(found, priority);
}
static inline void mqueue_expect_attributes(int fd, long flags, long most, long largest, long messages) {
    struct mq_attr attr;
    specimen_equal(mq_getattr(fd, &attr), 0);
    specimen_equal(attr.mq_flags, flags);
    specimen_equal(attr.mq_maxmsg, most);
    specimen_equal(attr.mq_msgsize, largest);
    specimen_equal(attr.mq_curmsgs, messages);
}

#endif
