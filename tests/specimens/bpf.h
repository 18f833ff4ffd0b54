/* BPF maps: made, read and written by bpf(2). */
#ifndef BPF_H
#define BPF_H
#include "files.h"

#include <linux/bpf.h>

static inline int bpf_call_(int command, union bpf_attr *attr) {
    return (int)syscall(SYS_bpf, command, attr, sizeof *attr);
}

/* A new map of 8-byte values. */
static inline int bpf_map(int type, int key_size, int most, int flags) {
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.map_type = type, attr.key_size = key_size, attr.value_size = 8, attr.max_entries = most;
    attr.map_flags = flags;
    strcpy(attr.map_name, "specimen");
    int fd = bpf_call_(BPF_MAP_CREATE, &attr);
    if (fd < 0) specimen_skip("no BPF: %s", strerror(errno));
    return fd;
}

static inline int bpf_put(int fd, const void *key, unsigned long long value) {
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.map_fd = fd, attr.key = (__u64)key, attr.value = (__u64)&value;
    return bpf_call_(BPF_MAP_UPDATE_ELEM, &attr);
}

/* The value of a key; −1 if there is none. */
static inline long long bpf_get(int fd, const void *key) {
    long long value = 0;
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.map_fd = fd, attr.key = (__u64)key, attr.value = (__u64)&value;
    return bpf_call_(BPF_MAP_LOOKUP_ELEM, &attr) ? -1 : value;
}

static inline struct bpf_map_info bpf_about(int fd) {
    struct bpf_map_info info;
    union bpf_attr attr;
    memset(&info, 0, sizeof info);
    memset(&attr, 0, sizeof attr);
    attr.info.bpf_fd = fd, attr.info.info_len = sizeof info, attr.info.info = (__u64)&info;
    specimen_equal(bpf_call_(BPF_OBJ_GET_INFO_BY_FD, &attr), 0);
    return info;
}

/* One more descriptor of a map, for BPF_F_RDONLY or BPF_F_WRONLY. */
static inline int bpf_again(int fd, int flags) {
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.map_id = bpf_about(fd).id, attr.open_flags = flags;
    int again = bpf_call_(BPF_MAP_GET_FD_BY_ID, &attr);
    specimen_check(again >= 0);
    return again;
}

#endif
