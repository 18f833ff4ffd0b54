/* specimen: a thread under SCHED_DEADLINE: runtime, deadline and period | group: limits | needs: root, deadline scheduling */
#include "scheduling.h"

int main(void) {
    static const struct scheduling wanted[] = {
        {.policy = SCHEDULING_DEADLINE, .runtime = 1000000, .deadline = 40000000, .period = 100000000}};
    return scheduling_specimen(wanted, 1);
}
