/* specimen: BPF map with descriptors for reading or writing only; frozen one | group: objects | needs: root, bpf */
#include "bpf.h"

int main(void) {
    int table = bpf_map(BPF_MAP_TYPE_HASH, 4, 10, 0), key = 5;
    int reader = bpf_again(table, BPF_F_RDONLY), writer = bpf_again(table, BPF_F_WRONLY);
    specimen_equal(bpf_put(writer, &key, 25), 0);
    int frozen = bpf_map(BPF_MAP_TYPE_ARRAY, 4, 1, 0), first = 0;
    specimen_equal(bpf_put(frozen, &first, 9), 0);
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.map_fd = frozen;
    specimen_equal(bpf_call_(BPF_MAP_FREEZE, &attr), 0);

    specimen_ready();
    specimen_wait();

    specimen_equal(bpf_get(table, &key), 25);
    specimen_equal(bpf_about(reader).id, bpf_about(table).id);
    specimen_equal(bpf_put(reader, &key, 1), -1);
    specimen_equal(errno, EPERM);
    specimen_equal(bpf_get(writer, &key), -1);
    specimen_equal(bpf_put(writer, &key, 36), 0);
    specimen_equal(bpf_get(reader, &key), 36);
    specimen_equal(bpf_get(frozen, &first), 9);
    specimen_equal(bpf_put(frozen, &first, 1), -1);
    specimen_equal(errno, EPERM);
    return specimen_pass();
}
