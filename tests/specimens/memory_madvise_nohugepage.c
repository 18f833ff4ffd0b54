/* specimen: memory that wants no huge pages (MADV_NOHUGEPAGE) | group: memory | needs: transparent huge pages */
#include "memory.h"

int main(void) { return memory_madvise_specimen(MADV_NOHUGEPAGE, "nh", NULL); }
