/* specimen: open files of a process that has ended | group: objects | needs: nothing */
#include "files.h"
#include "pidfd.h"

int main(void) {
    struct peer *peer = peer_start(pidfd_sleeper);
    char path[64], text[64];
    snprintf(path, sizeof path, "/proc/%d/stat", peer->pid);
    int fd = open(path, O_RDONLY), folder;
    snprintf(path, sizeof path, "/proc/%d", peer->pid);
    folder = open(path, O_RDONLY | O_DIRECTORY);
    peer_end(peer);

    specimen_ready();
    specimen_wait();

    files_fails(read(fd, text, sizeof text), ESRCH);
    specimen_check(openat(folder, "stat", O_RDONLY) < 0);
    return specimen_pass();
}
