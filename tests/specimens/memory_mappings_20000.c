/* specimen: 20,000 mappings of one page each | group: memory | needs: nothing */
#define PAGES 20000
#include "memory_mappings_2000.c"
