/* specimen: BPF map that a loaded program uses | group: objects | needs: root, bpf, refusal as a BPF map that the loaded BPF program */
#include "bpf.h"

int main(void) {
    int map = bpf_map(BPF_MAP_TYPE_ARRAY, 4, 1, 0), key = 0;
    struct bpf_insn code[] = {
        {.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map}, {0},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT},
    };
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER, attr.insn_cnt = 4;
    attr.insns = (uintptr_t)code, attr.license = (uintptr_t)"GPL";
    int program = bpf_call_(BPF_PROG_LOAD, &attr);
    if (program < 0) specimen_skip("no BPF: %s", strerror(errno));

    specimen_ready();
    specimen_wait();

    specimen_equal(bpf_get(map, &key), 0);
    return specimen_pass();
}
