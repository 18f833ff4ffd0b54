"""Images whose data area is put together, with something wrong in how, or in where the other images are."""

from __future__ import annotations

import os
import random
import struct
from functools import cache

import lz4.block

from crtool.image import codec
from crtool.image.datamap import OWN, DataMap, Origin, Run, pack_runs
from crtool.image.reader import ImageReader

from .assemble import PAGE, assemble, mapped, resealed
from .mutate import NUMBERS, broken, with_numbers

__all__ = ["bad_map", "bad_mapped", "right_map"]

PARENT = random.Random(2).randbytes(5 * PAGE)  # what the other image stores


@cache
def parent() -> Origin:
    """Another image, which is there as long as this process is."""
    fd = os.memfd_create("parent")
    os.write(fd, assemble(b"records of the parent", PARENT))
    path = f"/proc/self/fd/{fd}"
    with ImageReader.open(path) as reader:
        return Origin(reader.root, os.fsencode(path))


@cache
def fifo() -> bytes:
    """The path of a FIFO from which nothing ever comes."""
    return b"/proc/self/fd/%d" % os.pipe()[0]


def right_map(length: int, dice: random.Random) -> tuple[DataMap, int]:
    """A map of *length* bytes, some of them in the parent; and how many the image has to store."""
    runs: list[Run] = []
    stored = 0
    for _ in range(0, length, PAGE):
        if dice.random() < 0.5:
            runs.append(Run(PAGE, 1, dice.randrange(len(PARENT) // PAGE) * PAGE))
        else:
            runs.append(Run(PAGE, OWN, stored))
            stored += PAGE
    return DataMap((parent(),), pack_runs(runs)), stored


def bad_map(stored: int, dice: random.Random) -> bytes:
    """The map section of an image that stores *stored* bytes."""
    origins = tuple(_origin(dice) for _ in range(dice.choice((0, 1, 1, 1, 2, 3))))
    runs = []
    for _ in range(dice.choice((0, 1, 2, 3, 8, 40))):
        image = dice.choice((OWN, 1, dice.randrange(5)))
        room = max(stored if image == OWN else len(PARENT), PAGE)
        offset = dice.randrange(0, room, PAGE)
        runs.append(Run(dice.randrange(PAGE, room - offset + PAGE, PAGE), image, offset))
    if runs and dice.random() < 0.3:
        at, number = dice.randrange(len(runs)), dice.choice((*NUMBERS, *range(0, 9 * PAGE, PAGE))) % (1 << 64)
        fields = [runs[at].length, runs[at].image, runs[at].offset]
        fields[dice.randrange(3)] = number
        runs[at] = Run(*fields)
    packed = b"".join(struct.pack("<QQQ", run.length, run.image, run.offset) for run in runs)
    if dice.random() < 0.1:
        packed = packed[: -dice.randrange(1, 24)]
    section = codec.pack(DataMap(origins, packed))
    return broken(section, dice, dice.randrange(len(section))) if dice.random() < 0.2 else section


def _origin(dice: random.Random) -> Origin:
    if dice.random() < 0.7:
        return parent()
    paths = (
        parent().path, fifo(), b"", b"/", b"a.crt", b"/dev/zero", b"/proc/self/mem", b"/a\0b", b"/a/" + b"a" * 300,
        b"http://127.0.0.1:9/a.crt", b"/\xff\n", b"/..", b"/proc/self/fd/99999", b"/" * 5000,
    )  # fmt: skip
    return Origin(dice.choice((parent().root, bytes(32), b"short", b"")), dice.choice(paths))


def bad_mapped(dice: random.Random) -> bytes:
    """An image with a map, whose records nobody looks at."""
    data = random.Random(dice.random()).randbytes(dice.choice((0, 1, 3, 20)) * PAGE)
    section = bad_map(len(data), dice)
    if dice.random() < 0.2:
        image = mapped(b"records", data, section, lambda piece: (1, lz4.block.compress(piece, store_size=False)))
    else:
        image = mapped(b"records", data, section)
    way = dice.random()
    if way < 0.8:
        return image
    return resealed(with_numbers(image, dice)) if way < 0.9 else broken(image, dice, dice.randrange(len(image)))
