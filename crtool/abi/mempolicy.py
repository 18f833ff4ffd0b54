"""set_mempolicy(2): modes and their flags (include/uapi/linux/mempolicy.h)."""

from __future__ import annotations

MPOL_DEFAULT = 0
MPOL_BIND = 2
MPOL_LOCAL = 4

MPOL_F_RELATIVE_NODES = 1 << 14

MAX_NUMNODES = 1024  # of the largest NODES_SHIFT, 10
