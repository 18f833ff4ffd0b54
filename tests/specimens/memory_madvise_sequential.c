/* specimen: memory to be read in sequence (MADV_SEQUENTIAL) | group: memory | needs: nothing */
#include "memory.h"

int main(void) { return memory_madvise_specimen(MADV_SEQUENTIAL, "sr", NULL); }
