/* specimen: time slices that threads have asked for (sched_setattr(2), sched_runtime of a usual policy) | group: limits | needs: time slices on demand (Linux 6.12) */
#include "scheduling.h"

int main(void) {
    static const struct scheduling wanted[] = {{.policy = SCHED_OTHER, .runtime = 700000},
                                               {.policy = SCHED_BATCH, .runtime = 20000000, .nice = 4}};
    struct scheduling before = scheduling_get();
    if (scheduling_set(wanted[0]) != 0 || scheduling_get().runtime != 700000)
        specimen_skip("this kernel does not keep time slices");
    specimen_equal(scheduling_set(before), 0);
    return scheduling_specimen(wanted, 2);
}
