"""fanotify(7) (include/uapi/linux/fanotify.h)."""

from __future__ import annotations

FAN_CLOEXEC, FAN_NONBLOCK = 0x1, 0x2

FAN_MARK_ADD = 0x1
FAN_MARK_IGNORED_MASK = 0x20
FAN_MARK_IGNORED_SURV_MODIFY = 0x40
FAN_MARK_EVICTABLE = 0x200
FAN_MARK_IGNORE = 0x400
FAN_MARK_INODE, FAN_MARK_MOUNT, FAN_MARK_FILESYSTEM = 0x0, 0x10, 0x100

# Events at which the kernel waits for the group's decision: FAN_OPEN_PERM, FAN_ACCESS_PERM, FAN_OPEN_EXEC_PERM, and
# FAN_PRE_ACCESS (since 6.14).
FAN_PERMISSIONS = 0x10000 | 0x20000 | 0x40000 | 0x100000
