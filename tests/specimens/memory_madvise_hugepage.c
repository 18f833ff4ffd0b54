/* specimen: memory that wants huge pages (MADV_HUGEPAGE) | group: memory | needs: transparent huge pages */
#include "memory.h"

int main(void) { return memory_madvise_specimen(MADV_HUGEPAGE, "hg", NULL); }
