/* specimen: memory protection keys: key of the pages, rights of the thread, keys in use | group: memory | needs: protection keys of the CPU */
#include "memory.h"

int main(void) {
    int shut = pkey_alloc(0, PKEY_DISABLE_ACCESS);
    if (shut < 0) specimen_skip("no protection keys here: %s", strerror(errno));
    int open_key = pkey_alloc(0, 0);
    char *area = memory_anonymous(8 * PAGE, PROT_READ | PROT_WRITE);
    memory_fill(area, 4 * PAGE, 1);
    memory_fill(area + 4 * PAGE, 4 * PAGE, 2);
    specimen_equal(pkey_mprotect(area, 4 * PAGE, PROT_READ | PROT_WRITE, shut), 0);
    specimen_equal(pkey_mprotect(area + 4 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, open_key), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(memory_area(area).key, shut);
    specimen_equal(memory_area(area + 4 * PAGE).key, open_key);
    specimen_equal(memory_area(area + 6 * PAGE).key, 0);
    specimen_equal(pkey_get(shut), PKEY_DISABLE_ACCESS);
    specimen_equal(memory_probe(area, 0), SIGSEGV);
    memory_check(area + 4 * PAGE, 4 * PAGE, 2);
    specimen_equal(pkey_set(shut, 0), 0);
    memory_check(area, 4 * PAGE, 1);
    int third = pkey_alloc(0, 0);
    specimen_check(third > 0 && third != shut && third != open_key);
    return specimen_pass();
}
