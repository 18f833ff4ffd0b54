"""What the user has chosen for things outside of the tree; the defaults lose nothing silently."""

from __future__ import annotations

from typing import Literal

from crtool.record import dataclass

__all__ = ["DEFAULT", "Exclude", "Files", "Policy", "Stdio", "Tcp", "Unix"]

Exclude = Literal["none", "dontdump"]
Files = Literal["names", "content"]
Stdio = Literal["refuse", "inherit"]
Tcp = Literal["keep", "close"]
Unix = Literal["refuse", "close", "reconnect"]


@dataclass(frozen=True)
class Policy:
    """One field for each choice, named like the option of ``crtool checkpoint``."""

    stdio: Stdio = "refuse"  # standard streams that are pipes or unix sockets to somebody outside the tree
    tcp: Tcp = "keep"  # TCP connections with somebody outside the tree
    unix: Unix = "refuse"  # unix sockets whose other end is outside the tree
    files: Files = "names"  # what is saved of files that have a name
    exclude: Exclude = "none"  # private memory that is not saved: none, or what is kept out of core dumps
    sysvipc: bool = False  # whether System V IPC objects of crtool's own namespace are saved


DEFAULT = Policy()
