"""The same, led by coverage: python -m tests.fuzz.coverage CORPUS [OPTIONS OF LIBFUZZER], with atheris installed.

The first byte of an input is its layer. Checksums that would end most inputs at once are put right, so that coverage
leads through what is behind them. An input that must not be is kept as crash-*, and belongs into tests/fuzz/corpus.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

__all__ = ["one"]

_MEBIBYTES = 600  # for Python, crtool, libFuzzer and its corpus


def _layers() -> tuple[Callable[[bytes], object], ...]:
    """Imported late: what is imported under the eyes of atheris is what it sees."""
    from crtool.engine.snapshot import Snapshot
    from crtool.image import codec
    from crtool.image.codec import prefix
    from crtool.image.datamap import DataMap
    from crtool.image.keys import Keys

    from . import examine
    from .assemble import assemble, mapped, resealed
    from .fuzz import IDENTITY, KINDS
    from .maps import parent

    def record(data: bytes) -> object:
        kind = KINDS[data[0] % len(KINDS)] if data else Snapshot
        return examine.records(prefix(kind) + data[1:], kind)

    return (
        examine.container,
        lambda data: examine.container(resealed(data)),
        lambda data: examine.container(resealed(assemble(b"records", data))),
        lambda data: examine.container(b"age-encryption.org/v1\n" + data, Keys((IDENTITY,))),
        record,
        lambda data: examine.records(data, Snapshot),
        lambda data: examine.snapshot(assemble(prefix(Snapshot) + data)),
        lambda data: examine.container(mapped(b"records", bytes(8192), data)),
        lambda data: examine.container(mapped(b"records", bytes(8192), codec.pack(DataMap((parent(),), data)))),
    )


def one(data: bytes) -> None:
    """Examines one input; raises whatever must not be."""
    layers = _layers()
    if data:
        layers[data[0] % len(layers)](data[1:])


def main() -> None:
    """The command line, which is libFuzzer's."""
    import atheris  # type: ignore[import-not-found]

    with atheris.instrument_imports(include=["crtool"], enable_loader_override=False):
        one(b"")
    atheris.Setup([*sys.argv, f"-rss_limit_mb={_MEBIBYTES}", "-timeout=20"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
