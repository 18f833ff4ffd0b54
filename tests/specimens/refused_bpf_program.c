/* specimen: BPF program | group: objects | needs: root, refusal as a BPF program */
#include "files.h"

#include <linux/bpf.h>

int main(void) {
    struct bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER, attr.insn_cnt = 2;
    attr.insns = (uintptr_t)code, attr.license = (uintptr_t)"GPL";
    int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr);
    if (fd < 0) specimen_skip("no BPF: %s", strerror(errno));

    specimen_ready();
    specimen_wait();

    specimen_equal(files_is_open(fd), 1);
    return specimen_pass();
}
