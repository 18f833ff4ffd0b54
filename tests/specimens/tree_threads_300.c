/* specimen: three hundred threads that wait for one condition variable | group: tree | needs: nothing */
#define COUNT 300
#include "tree_threads_50.c"
