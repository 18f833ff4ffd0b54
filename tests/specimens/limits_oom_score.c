/* specimen: oom_score_adj of root and child | group: limits | needs: nothing */
#include "peer.h"
#include "task.h"

static void expect(const char *wanted) {
    char found[64];
    task_read("/proc/self/oom_score_adj", found, sizeof found);
    specimen_equal_text(found, wanted);
}

static void child(struct peer *me) {
    task_write("/proc/self/oom_score_adj", "777");
    peer_turn(me);
    expect("777\n");
}

int main(void) {
    task_write("/proc/self/oom_score_adj", "333");
    struct peer *peer = peer_start(child);

    specimen_ready();
    specimen_wait();

    expect("333\n");
    peer_end(peer);
    return specimen_pass();
}
