/* specimen: threads under SCHED_BATCH (with nice value) and SCHED_IDLE | group: limits | needs: nothing */
#include "scheduling.h"

int main(void) {
    static const struct scheduling wanted[] = {{.policy = SCHED_BATCH, .nice = 5}, {.policy = SCHED_BATCH}, {.policy = SCHED_IDLE}};
    return scheduling_specimen(wanted, 3);
}
