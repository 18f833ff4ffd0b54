/* specimen: 5,000 descriptors: files, pipes, duplicates | group: files | needs: nothing */
#define COUNT 1250
#include "files_many.c"
