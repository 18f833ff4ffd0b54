/* specimen: command line and environment that lie elsewhere (PR_SET_MM_MAP), as setproctitle(3) does it | group: tree | needs: CAP_SYS_RESOURCE for PR_SET_MM */
#include "task.h"

#include <sys/mman.h>
#include <sys/prctl.h>

int main(void) {
    static const char words[] = "moved\0to another\0page";
    static const char variables[] = "PLACE=elsewhere";
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(page, words, sizeof words);
    memcpy(page + 2048, variables, sizeof variables);
    if (prctl(PR_SET_MM, PR_SET_MM_ARG_START, page, 0, 0) != 0) specimen_skip("PR_SET_MM: %s", strerror(errno));
    specimen_equal(prctl(PR_SET_MM, PR_SET_MM_ARG_END, page + sizeof words, 0, 0), 0);
    specimen_equal(prctl(PR_SET_MM, PR_SET_MM_ENV_START, page + 2048, 0, 0), 0);
    specimen_equal(prctl(PR_SET_MM, PR_SET_MM_ENV_END, page + 2048 + sizeof variables, 0, 0), 0);

    specimen_ready();
    specimen_wait();

    char found[4096];
    specimen_equal(task_read("/proc/self/cmdline", found, sizeof found), sizeof words);
    specimen_equal(memcmp(found, words, sizeof words), 0);
    specimen_equal(task_read("/proc/self/environ", found, sizeof found), sizeof variables);
    specimen_equal(memcmp(found, variables, sizeof variables), 0);
    return specimen_pass();
}
