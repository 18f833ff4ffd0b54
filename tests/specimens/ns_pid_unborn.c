/* specimen: a process that has called unshare for its children's PID namespace and has no children yet | group: ns | needs: root, new namespaces */
#include "ns.h"

int main(void) {
    ns_need(CLONE_NEWPID);
    specimen_equal(unshare(CLONE_NEWPID), 0);

    specimen_ready();
    specimen_wait();

    pid_t pid = fork();
    if (pid == 0) _exit(getpid());
    int status;
    specimen_equal(waitpid(pid, &status, 0), pid);
    specimen_equal(WEXITSTATUS(status), 1);
    return specimen_pass();
}
