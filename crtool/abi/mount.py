"""mount(2): flags (include/uapi/linux/mount.h)."""

from __future__ import annotations

MS_NOSUID = 1 << 1
MS_NODEV = 1 << 2
MS_NOEXEC = 1 << 3
MS_REC = 1 << 14
MS_PRIVATE = 1 << 18
