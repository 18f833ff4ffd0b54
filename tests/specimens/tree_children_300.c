/* specimen: three hundred children of one parent | group: tree | needs: nothing */
#define COUNT 300
#include "tree_children_50.c"
