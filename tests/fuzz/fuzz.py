"""Fuzzes what reads images: python -m tests.fuzz.fuzz [--seconds N] [--inputs N] [--seed N].

Inputs come from random numbers, so that each can be made again from its number, which is printed with what it has
found. :mod:`.coverage` is led by coverage instead.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from crtool.engine.snapshot import Snapshot
from crtool.image import codec
from crtool.image.age import public_of
from crtool.image.keys import Keys
from crtool.image.schema import schema_of

from . import examine
from .assemble import assemble, mapped
from .maps import bad_map, bad_mapped, right_map
from .mutate import bad_container, bad_records, bad_sealed, bad_snapshot
from .seeds import DATA, make_seed

KINDS = sorted(schema_of(Snapshot).records, key=lambda kind: (kind.__module__, kind.__name__))


# How often each comes: what costs little more often.
LAYERS = {"container": 10, "mapped": 6, "sealed": 1, "codec": 28, "snapshot": 1}
IDENTITY = bytes(range(32))
_GARBAGE = 2000  # inputs until buffers that errors still hold are freed for certain
_NEWS = 50_000  # inputs between two words about how far it is


def one(number: str, records: bytes, layers: dict[str, int]) -> str:
    """Examines input *number*; the name of its layer. Raises whatever must not be."""
    dice = random.Random(number)
    layer = dice.choices(list(layers), list(layers.values()))[0]
    match layer:
        case "container":
            examine.container(bad_container(dice))
        case "mapped":
            examine.container(bad_mapped(dice))
        case "sealed":
            examine.container(bad_sealed(public_of(IDENTITY), dice), Keys((IDENTITY,)))
        case "codec":
            kind = dice.choice(KINDS)
            examine.records(bad_records(kind, dice), kind)
        case _:
            examine.snapshot(around(bad_snapshot(records, dice), dice), (dice.choice(examine.STORIES),))
    return layer


def around(records: bytes, dice: random.Random) -> bytes:
    """An image of *records* that has the data, or builds on another one."""
    way = dice.random()
    if way < 0.6:
        return assemble(records, DATA)
    if way < 0.9:
        found, stored = right_map(len(DATA), dice)
        return mapped(records, DATA[:stored], codec.pack(found))
    return mapped(records, DATA, bad_map(len(DATA), dice))


def rounds(
    records: bytes, *, seconds: float, inputs: int, seed: int, layers: dict[str, int] = LAYERS
) -> tuple[Counter[str], Counter[str]]:
    """Examines inputs until time or number is used up: how many of each layer, and of each kind of failure."""
    until = time.monotonic() + seconds
    found: Counter[str] = Counter()
    done: Counter[str] = Counter()
    assert (said := examine.snapshot(assemble(records, DATA))) == "", said
    with examine.Limits() as limits:
        while done.total() < inputs and time.monotonic() < until:
            number = f"{seed}.{done.total()}"
            try:
                with limits.input():
                    done[one(number, records, layers)] += 1
            except KeyboardInterrupt:  # enough
                break
            except BaseException as error:  # noqa: BLE001 - each kind is told once, and counted
                done["failed"] += 1
                kind = _kind(error)
                if not found[kind]:
                    _tell(number, kind, error)
                found[kind] += 1
            if not done.total() % _GARBAGE:
                gc.collect()
            if not done.total() % _NEWS:
                print(f"{done.total()} inputs, {found.total()} must not be", file=sys.stderr, flush=True)
    return done, found


def _kind(error: BaseException) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {place.filename.rpartition('crtool/')[2]}:{place.lineno} {place.name}"


def _tell(number: str, kind: str, error: BaseException) -> None:
    print(f"{number}: {kind}: {str(error)[:200]}", flush=True)
    for frame in traceback.extract_tb(error.__traceback__)[-4:-1]:
        print(f"     {frame.filename.rpartition('crtool/')[2]}:{frame.lineno} {frame.line}", flush=True)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--inputs", type=int, default=1 << 62)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layer", choices=LAYERS, help="this one only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        records = make_seed(Path(folder))
        start = time.process_time()
        layers = {options.layer: 1} if options.layer else LAYERS
        limits = {"seconds": options.seconds, "inputs": options.inputs}
        done, found = rounds(records, **limits, seed=options.seed, layers=layers)
    counts = ", ".join(f"{count} {layer}" for layer, count in done.most_common())
    print(f"{done.total()} inputs ({counts}) in {time.process_time() - start:.0f} s of CPU time")
    for kind, count in found.most_common():
        print(f"{count:8} {kind}")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
