"""seccomp(2): modes, flags, actions (include/uapi/linux/seccomp.h), and its classic BPF (filter.h)."""

from __future__ import annotations

import struct

SECCOMP_MODE_DISABLED = 0
SECCOMP_MODE_STRICT = 1
SECCOMP_MODE_FILTER = 2

SECCOMP_SET_MODE_STRICT = 0
SECCOMP_SET_MODE_FILTER = 1

SECCOMP_FILTER_FLAG_LOG = 1 << 1
SECCOMP_FILTER_FLAG_SPEC_ALLOW = 1 << 2

SECCOMP_RET_ACTION_FULL = 0xFFFF_0000
SECCOMP_RET_USER_NOTIF = 0x7FC0_0000

# struct sock_filter: code, jt, jf, k.
SOCK_FILTER = struct.Struct("<HBBI")
# struct sock_fprog: number of instructions, their address.
SOCK_FPROG = struct.Struct("<H6xQ")
SOCK_FPROG_POINTER = 8
BPF_RET_K = 0x06  # BPF_RET | BPF_K: return the constant
