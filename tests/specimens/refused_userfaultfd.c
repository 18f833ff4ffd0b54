/* specimen: a userfaultfd of a process that has ended | group: objects | needs: root, userfaultfd, bpf, refusal as memory that is gone */
#include "uffd.h"

#include <sys/socket.h>
#include <sys/wait.h>

int main(void) {
    int pair[2];
    specimen_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    pid_t child = fork();
    char byte = 'x', room[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec vector = {&byte, 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    if (!child) {
        int fd = (int)syscall(SYS_userfaultfd, O_NONBLOCK);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        *header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
        _exit(fd < 0 || sendmsg(pair[1], &message, 0) != 1);
    }
    int status;
    specimen_equal(waitpid(child, &status, 0), child);
    if (status) specimen_skip("no userfaultfd");
    specimen_equal(recvmsg(pair[0], &message, 0), 1);
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    close(pair[0]);
    close(pair[1]);

    specimen_ready();
    specimen_wait();

    files_fails(read(fd, room, sizeof room), EINVAL);
    return specimen_pass();
}
