"""capabilities(7), capset(2), securebits (include/uapi/linux/capability.h and securebits.h)."""

from __future__ import annotations

import struct

CAP_SETGID = 6
CAP_SETUID = 7
CAP_SETPCAP = 8
CAP_SYS_ADMIN = 21
CAP_SYS_NICE = 23
CAP_SYS_RESOURCE = 24
CAP_CHECKPOINT_RESTORE = 40

# By number; a kernel knows a beginning of this list.
NAMES = (
    *("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID"),
    *("CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST"),
    *("CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO"),
    *("CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE"),
    *("CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE"),
    *("CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM"),
    *("CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE"),
)

# struct __user_cap_header_struct: version, pid (0: the caller).
CAP_HEADER = struct.pack("<Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3
# struct __user_cap_data_struct[2]: effective, permitted, inheritable, first of the low 32 bits, then of the high ones.
CAP_DATA = struct.Struct("<6I")

SECBIT_NO_SETUID_FIXUP = 1 << 2
SECBIT_KEEP_CAPS = 1 << 4
SECBIT_KEEP_CAPS_LOCKED = 1 << 5
SECBIT_NO_CAP_AMBIENT_RAISE = 1 << 6
SECURE_ALL_LOCKS = 0xAAAA_AAAA  # each odd bit makes the even one below it immutable


def bit(capability: int) -> int:
    """The bit of a capability in a 64-bit set."""
    return 1 << capability


def numbers(capabilities: int) -> list[int]:
    """The capabilities in a set, ascending."""
    return [number for number in range(capabilities.bit_length()) if capabilities >> number & 1]


def name(capability: int) -> str:
    """The name of a capability, or its number if it is younger than the list."""
    return NAMES[capability] if capability < len(NAMES) else f"capability {capability}"


def names(capabilities: int) -> str:
    """The names of the capabilities in a set, for people."""
    return ", ".join(map(name, numbers(capabilities)))
