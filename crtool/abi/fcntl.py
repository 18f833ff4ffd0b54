"""openat(2), fcntl(2), memfd_create(2): what the standard library does not name on every Python."""

from __future__ import annotations

AT_FDCWD = -100

F_SETSIG = 10
F_GETSIG = 11
F_SETOWN_EX = 15
F_GETOWN_EX = 16
F_SETPIPE_SZ = 1031
F_GETPIPE_SZ = 1032
F_ADD_SEALS = 1033
F_GET_SEALS = 1034
F_GET_RW_HINT = 1035
F_SET_RW_HINT = 1036

FICLONE = 0x40049409  # ioctl_ficlone(2)

MFD_CLOEXEC = 0x1
MFD_ALLOW_SEALING = 0x2
MFD_HUGETLB = 0x4
MFD_EXEC = 0x10
