"""Words for a human: sizes, durations, counts, and names that come from elsewhere."""

from __future__ import annotations

import dataclasses
from typing import Any

__all__ = ["as_json", "count", "duration", "printable", "size"]

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def size(nbytes: int) -> str:
    """``999 B``, ``4.0 KiB``, ``12 MiB``: two digits that mean something, in powers of 1024."""
    if nbytes < 1024:
        return f"{nbytes} B"
    amount = nbytes / 1024
    step = 0
    # 1023.6 would be shown as "1024".
    while amount >= 1023.5 and step < len(_UNITS) - 1:
        amount /= 1024
        step += 1
    return f"{amount:.1f} {_UNITS[step]}" if amount < 9.95 else f"{amount:.0f} {_UNITS[step]}"


def duration(seconds: float) -> str:
    """``4.2 ms``, ``86 ms``, ``1.25 s``, ``2 min 05 s``."""
    if seconds < 0.00995:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.995:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s"


def count(number: int, noun: str) -> str:
    """``1 process``, ``2 processes``, ``3 pages``."""
    plural = "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}{plural}"


def printable(text: str) -> str:
    """One line that a terminal shows and does not obey, whatever *text* holds.

    Names of programs and files are chosen by whoever runs them, and may hold escape sequences.
    """
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8, see PEP 383
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def as_json(result: Any) -> str:
    """A result of the Python API, a dataclass, as one JSON object: same names, same units.

    Characters outside ASCII are escaped, so that bytes of a name that are no UTF-8 survive in every encoding, as
    the lone surrogates of PEP 383.
    """
    import json  # noqa: PLC0415 - takes long, and is used by few calls

    return json.dumps(dataclasses.asdict(result), indent=2)
