/* specimen: memory that may be merged with equal pages (MADV_MERGEABLE) | group: memory | needs: KSM */
#include "memory.h"

int main(void) { return memory_madvise_specimen(MADV_MERGEABLE, "mg", NULL); }
