"""/proc/PID/smaps: what maps does not say about each mapping, as far as a checkpoint needs it.

Spec: proc_pid_smaps(5); show_smap() and show_smap_vma_flags() in the kernel's fs/proc/task_mmu.c. A record is the
line of /proc/PID/maps, about twenty lines ``Key: value kB``, and at the end ``VmFlags:`` with a list of two-letter
words. Which keys there are depends on the kernel, but is the same for all records of a file.

The kernel walks the page tables to write this file: seconds for a process of many GiB. Read it where nobody waits.
"""

from __future__ import annotations

from crtool.procfs.error import ProcfsError
from crtool.procfs.maps import Mapping, Met, parse_line
from crtool.record import dataclass

__all__ = ["Smap", "parse"]

_KIB = 1024
_UNIT = b" kB"
_END = b"\nVmFlags:"

# Keys in the order of the fields that they fill, and whether every kernel has them: the others read as 0.
# THPeligible came with 5.0; ProtectionKey is there only on CPUs with protection keys.
_KEYS = (
    (b"KernelPageSize:", True),
    (b"Rss:", True),
    (b"Locked:", True),
    (b"AnonHugePages:", True),
    (b"Swap:", True),
    (b"THPeligible:", False),
    (b"ProtectionKey:", False),
)


@dataclass(frozen=True)
class Smap:
    """One mapping with its flags and counters."""

    mapping: Mapping
    flags: frozenset[str]  # two-letter words of proc_pid_smaps(5): "mw" may write, "gd" grows down, "lo" locked…
    page_size: int  # bytes; that of the huge page for hugetlb memory
    rss: int  # bytes present in memory
    locked: int  # bytes held by mlock
    anon_huge_pages: int  # bytes in transparent huge pages
    swap: int  # bytes swapped out
    thp_eligible: bool  # could transparent huge pages be put here now
    protection_key: int  # pkeys(7), 0 is the default key


def parse(data: bytes) -> tuple[Smap, ...]:
    """The records in the order of their addresses; ProcfsError with the record that has another form."""
    found = []
    met = Met()
    flags_met: dict[bytes, frozenset[str]] = {}
    regular: _Layout | None = None
    at = 0
    while at < len(data):
        try:
            head = data.index(b"\n", at)
            tail = data.index(_END, head)
            behind = data.index(b"\n", tail + 1)
        except ValueError:
            raise ProcfsError("smaps", data[at:]) from None
        body = data[head:tail]
        if regular is None or len(body) != regular.length:
            layout = _Layout(body)
            if layout.regular:
                regular = layout
        else:
            layout = regular
        words = data[tail + len(_END) : behind]
        if (flags := flags_met.get(words)) is None:
            flags_met[words] = flags = frozenset(words.decode("latin-1").split())
        try:
            page_size, rss, locked, huge, swap, eligible, key = [
                int(body[span]) if span else 0 for span in layout.spans
            ]
        except ValueError:
            raise ProcfsError("smaps", data[at:behind]) from None
        found.append(
            Smap(
                mapping=parse_line(data[at:head], met),
                flags=flags,
                page_size=page_size * _KIB,
                rss=rss * _KIB,
                locked=locked * _KIB,
                anon_huge_pages=huge * _KIB,
                swap=swap * _KIB,
                thp_eligible=bool(eligible),
                protection_key=key,
            )
        )
        at = behind + 1
    return tuple(found)


class _Layout:
    """Where in the body of a record (the lines between head and VmFlags) the values stand.

    The kernel pads numbers to eight digits, so all bodies of a file have the same layout, but for numbers of nine and
    more digits (95 GiB). A body in which none is that long is *regular*: its layout holds for all of the same length,
    since one with a longer number is longer.
    """

    def __init__(self, body: bytes) -> None:
        self.length = len(body)
        self.regular = len({len(line) for line in body.split(b"\n") if line.endswith(_UNIT)}) == 1
        self.spans = tuple(_span(body, key, needed=needed) for key, needed in _KEYS)


def _span(body: bytes, key: bytes, *, needed: bool) -> slice | None:
    at = body.find(b"\n" + key)
    if at < 0:
        if needed:
            raise ProcfsError("smaps", body)
        return None
    start = at + 1 + len(key)
    end = body.find(b"\n", start)
    end = len(body) if end < 0 else end
    return slice(start, end - len(_UNIT) if body.endswith(_UNIT, start, end) else end)
