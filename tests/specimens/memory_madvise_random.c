/* specimen: memory to be read at random (MADV_RANDOM) | group: memory | needs: nothing */
#include "memory.h"

int main(void) { return memory_madvise_specimen(MADV_RANDOM, "rr", NULL); }
