/* specimen: ITIMER_PROF: remaining CPU time and interval; it goes off when that is spent | group: time | needs: nothing */
#include "itimers.h"

int main(void) { return itimer_of_cpu(ITIMER_PROF, SIGPROF); }
