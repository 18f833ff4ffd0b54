"""Pictures of what is inside an image, as SVG: the tree of processes, or the address space of one of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from xml.sax.saxutils import escape

from crtool.engine.results import ImageSummary, MappingSummary, ProcessSummary
from crtool.image.place import NewFile
from crtool.kernel.interruption import nothing

__all__ = ["space", "tree", "write"]

_WIDTH = 900
_LINE = 16  # of text
_BOX = 44
_STEP = 56  # from one process to the next, and to the right from parent to child
_STYLE = (
    "text{font:12px monospace;fill:#222}.t{font-weight:bold}.s{fill:#666}rect{stroke:#555;stroke-width:.7}"
    "path{stroke:#888;fill:none}.saved{fill:#000;fill-opacity:.28;stroke:none}"
)
# By what a mapping is, in the order in which the legend has them.
_COLOURS = {
    "code": "#9ecae1",
    "data": "#fdd0a2",
    "heap": "#a1d99b",
    "stack": "#bcbddc",
    "anonymous": "#e5e5e5",
    "shared": "#fdae6b",
    "kernel": "#ffffff",
}
# A mapping of 4 KiB is as high as a line of text; each time it is twice as large it gets a bit higher.
_PER_DOUBLING = 3


def write(text: str, path: str, *, force: bool, done: Callable[[], None] = nothing) -> None:
    """Writes a picture to a new file; an existing one is refused without *force*. UsageError, EnvironmentDiffers.

    *done* is called when the file has its name.
    """
    file = NewFile(path, force=force)
    try:
        file.write(text.encode())
        file.commit(done)
    except BaseException:
        file.discard()
        raise


def tree(summary: ImageSummary) -> str:
    """All processes, children below and to the right of their parents, each with what its memory is made of."""
    placed: dict[int, tuple[int, int]] = {}
    body: list[str] = []
    for row, (depth, process) in enumerate(summary.tree()):
        x, y = 10 + depth * 36, 40 + row * _STEP
        if process.ppid in placed:
            parent_x, parent_y = placed[process.ppid]
            body.append(f'<path d="M{parent_x + 12} {parent_y + _BOX}V{y + _BOX // 2}H{x}"/>')
        placed[process.pid] = (x, y)
        body += _process_box(process, x, y)
    height = 60 + _STEP * len(placed)
    width = max(_WIDTH, max((x for x, _ in placed.values()), default=0) + 600)
    title = f"{len(placed)} processes, written {summary.created}"
    return _document(width, height + _LINE, title, [*body, *_legend(height)])


def _process_box(process: ProcessSummary, x: int, y: int) -> Iterator[str]:
    words = " ".join(process.cmdline) or f"[{process.comm}]"
    yield f'<rect x="{x}" y="{y}" width="560" height="{_BOX}" rx="4" fill="#fafafa"/>'
    yield _text(x + 8, y + 15, f"PID {process.pid}  {words}"[:76], "t")
    threads = "1 thread" if process.threads == 1 else f"{process.threads} threads"
    about = f"{process.state.partition(' ')[0]}, {threads}, {len(process.descriptors)} descriptors"
    yield _text(x + 8, y + 30, f"{about}, {_size(process.memory_bytes)} saved", "s")
    total = sum(mapping.saved_bytes for mapping in process.mappings)
    at = float(x + 8)
    for kind, colour in _COLOURS.items():
        saved = sum(mapping.saved_bytes for mapping in process.mappings if _kind(mapping) == kind)
        if saved:
            width = 544 * saved / total
            yield f'<rect x="{at:.1f}" y="{y + 34}" width="{width:.1f}" height="6" fill="{colour}"/>'
            at += width


def space(process: ProcessSummary) -> str:
    """The mappings of one process from the lowest address up; the dark part of each is what the image has of it."""
    body: list[str] = []
    y, end = 40, 0
    for mapping in process.mappings:
        if end and mapping.start > end:
            body.append(_text(190, y + 12, f"⋮ {_size(mapping.start - end)} unused", "s"))
            y += _LINE + 2
        height = _LINE + int(_PER_DOUBLING * max(0.0, math.log2((mapping.end - mapping.start) / 4096)))
        saved = 160 * mapping.saved_bytes / (mapping.end - mapping.start)
        body.append(_text(8, y + 12, f"{mapping.start:016x}", "s"))
        body.append(f'<rect x="140" y="{y}" width="160" height="{height}" fill="{_COLOURS[_kind(mapping)]}"/>')
        if saved:
            body.append(f'<rect class="saved" x="140" y="{y}" width="{min(saved, 160):.1f}" height="{height}"/>')
        what = f"{mapping.permissions} {_size(mapping.end - mapping.start):>8} {_size(mapping.saved_bytes):>8} saved"
        body.append(_text(308, y + 12, f"{what}  {mapping.name}"))
        y, end = y + height + 2, mapping.end
    words = " ".join(process.cmdline) or f"[{process.comm}]"
    title = f"PID {process.pid}: {words}"[:100]
    return _document(_WIDTH, y + 40, title, [*body, *_legend(y + 20)])


def _kind(mapping: MappingSummary) -> str:
    if mapping.name in ("[heap]", "[stack]"):
        return mapping.name[1:-1]
    if mapping.name.startswith("[v"):
        return "kernel"
    if mapping.permissions.endswith("s"):
        return "shared"
    if "x" in mapping.permissions:
        return "code"
    return "data" if mapping.name else "anonymous"


def _legend(y: int) -> Iterator[str]:
    for number, (kind, colour) in enumerate(_COLOURS.items()):
        x = 10 + number * 110
        yield f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{colour}"/>'
        yield _text(x + 18, y, kind, "s")


def _text(x: int, y: int, text: str, kind: str = "") -> str:
    # Names of programs and files may hold anything; XML takes no control characters, not even escaped.
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x}" y="{y}"{style} xml:space="preserve">{escape(clean)}</text>'


def _size(nbytes: int) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if nbytes < 1024:
            return f"{nbytes} {unit}"
        nbytes //= 1024
    return f"{nbytes} TiB"


def _document(width: int, height: int, title: str, body: list[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
    back = f'<rect width="{width}" height="{height}" fill="#fff" stroke="none"/>'
    return "\n".join([head, f"<style>{_STYLE}</style>", back, _text(10, 24, title, "t"), *body, "</svg>\n"])
