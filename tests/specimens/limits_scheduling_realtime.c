/* specimen: threads under SCHED_FIFO and SCHED_RR, with priorities | group: limits | needs: root, real-time scheduling */
#include "scheduling.h"

int main(void) {
    static const struct scheduling wanted[] = {{.policy = SCHED_FIFO, .priority = 10},
                                               {.policy = SCHED_RR, .priority = 1},
                                               {.policy = SCHED_RR, .priority = 50}};
    return scheduling_specimen(wanted, 3);
}
