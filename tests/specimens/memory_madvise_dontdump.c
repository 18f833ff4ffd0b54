/* specimen: memory left out of core dumps (MADV_DONTDUMP) | group: memory | needs: nothing */
#include "memory.h"

int main(void) { return memory_madvise_specimen(MADV_DONTDUMP, "dd", NULL); }
