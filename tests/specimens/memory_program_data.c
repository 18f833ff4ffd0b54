/* specimen: data, bss, read-only data and read-only-after-start data of the program itself | group: memory | needs: nothing */
#include "memory.h"

static int counter = 41;
static unsigned char zeroed[64 * PAGE];
static const char text[] = "constant text of the specimen";
static const char *const pointers[] = {text, text + 9};
static int (*volatile function)(const char *, const char *) = strcmp;

int main(void) {
    counter++;
    memory_fill(zeroed + 10 * PAGE, PAGE, 1);
    struct memory_area before = memory_area(text);

    specimen_ready();
    specimen_wait();

    specimen_equal(counter, 42);
    memory_check_zero(zeroed, 10 * PAGE);
    memory_check(zeroed + 10 * PAGE, PAGE, 1);
    memory_check_zero(zeroed + 11 * PAGE, 53 * PAGE);
    specimen_equal(function(pointers[1], "text of the specimen"), 0);
    specimen_equal(memory_probe((void *)(uintptr_t)text, 1), SIGSEGV);
    specimen_equal(memory_probe((void *)(uintptr_t)pointers, 1), SIGSEGV);
    struct memory_area now = memory_area(text);
    specimen_equal(strcmp(before.path, now.path), 0);
    specimen_equal(before.offset, now.offset);
    specimen_equal(before.inode, now.inode);
    return specimen_pass();
}
