/* specimen: BPF array and hash table with entries | group: objects | needs: root, bpf */
#include "bpf.h"

int main(void) {
    int array = bpf_map(BPF_MAP_TYPE_ARRAY, 4, 3, BPF_F_MMAPABLE);
    int table = bpf_map(BPF_MAP_TYPE_HASH, 8, 100, BPF_F_NO_PREALLOC);
    int place = 2;
    specimen_equal(bpf_put(array, &place, 77), 0);
    for (long long key = 1; key <= 50; key++) specimen_equal(bpf_put(table, &key, key * key), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(bpf_get(array, &place), 77);
    place = 1;
    specimen_equal(bpf_get(array, &place), 0);
    for (long long key = 1; key <= 50; key++) specimen_equal(bpf_get(table, &key), key * key);
    long long absent = 51;
    specimen_equal(bpf_get(table, &absent), -1);
    specimen_equal(bpf_about(table).max_entries, 100);
    specimen_equal(bpf_about(table).map_flags, BPF_F_NO_PREALLOC);
    specimen_equal(bpf_about(array).map_flags, BPF_F_MMAPABLE);
    specimen_equal_text(bpf_about(array).name, "specimen");
    return specimen_pass();
}
