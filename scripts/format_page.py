"""crtool-image(5), made from docs/image-format.md. See man(7) and tbl(1) for the macros."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from manpages import bold, escaped, italic, page, see_also

__all__ = ["pages"]

_SOURCE = Path(__file__).resolve().parent.parent / "docs" / "image-format.md"
# What is for those who work on crtool.
_LEFT_OUT = frozenset(("Changing it",))
_WIDE = 30  # characters of a cell that does not stay on one line
_INLINE = re.compile(r"`(?P<code>[^`]+)`|\*\*(?P<strong>.+?)\*\*|\*(?P<stress>[^*]+)\*|\[(?P<link>[^]]+)\]\([^)]+\)")


def pages() -> dict[str, str]:
    """The text of the page, by file name."""
    title, *rest = re.split(r"^## (.*)\n", _SOURCE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    parts = zip(rest[::2], rest[1::2], strict=True)
    sections = [("DESCRIPTION", _body(title.partition("\n")[2]))]
    sections += [(heading.upper(), _body(text)) for heading, text in parts if heading not in _LEFT_OUT]
    sections.append(("SEE ALSO", see_also(["crtool", "crtool-checkpoint", "crtool-show", "crtool-verify"])))
    text = page("crtool-image", "the file format of the images of crtool", sections, section=5)
    return {"crtool-image.5": "'\\\" t\n" + text}


def _body(text: str) -> str:
    return "\n".join(line for block in _blocks(text) for line in _block(block))


def _blocks(text: str) -> Iterator[str]:
    """What stands between empty lines; a fenced block is one, whatever stands in it."""
    for part in re.split(r"^(```.*?^```)$", text, flags=re.MULTILINE | re.DOTALL):
        yield from [part] if part.startswith("```") else filter(None, re.split(r"\n\n+", part.strip()))


def _block(block: str) -> Iterator[str]:
    if block.startswith("### "):
        heading, _, rest = block.partition("\n")
        yield f".SS {_inline(heading[4:])}"
        if rest:
            yield _inline(rest)
    elif block.startswith("```"):
        yield from (".PP", ".RS 4", ".nf", *map(escaped, block.splitlines()[1:-1]), ".fi", ".RE")
    elif block.startswith("|"):
        yield from _table(block.splitlines())
    else:
        yield from (".PP", _inline(" ".join(block.split())))


def _table(lines: list[str]) -> Iterator[str]:
    """The last column, and others that are wide, share what room there is, and break their lines."""
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    del rows[1]
    last = len(rows[0]) - 1
    wide = [at == last or max(map(len, column)) > _WIDE for at, column in enumerate(zip(*rows, strict=True))]
    yield from (".TS", " ".join("lx" if column else "l" for column in wide) + ".")
    for number, row in enumerate(rows):
        cells = [_inline(cell.replace("\\|", "|")) if number else bold(cell) for cell in row]
        filled = zip(cells, wide, strict=True)
        yield "\t".join(f"T{{\n.ad l\n{cell}\nT}}" if broken else cell for cell, broken in filled)
    yield ".TE"


def _inline(text: str) -> str:
    """Text with its marks: what is code or strong is bold, what is stressed is italic, of a link the words stay."""
    made, at = "", 0
    for mark in _INLINE.finditer(text):
        made += escaped(text[at : mark.start()])
        strong = mark["code"] or mark["strong"]
        made += bold(strong) if strong else italic(mark["stress"]) if mark["stress"] else escaped(mark["link"])
        at = mark.end()
    made += escaped(text[at:])
    return made if not made.startswith((".", "'")) else f"\\&{made}"
