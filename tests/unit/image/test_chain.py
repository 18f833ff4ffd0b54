"""An image that has a parent: its data area is put together from what it and other images store."""

from __future__ import annotations

import os
import random
import shutil
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crtool.errors import ImageError, ParentMissing
from crtool.image.compression import choose
from crtool.image.datamap import OWN, DataMap, Origin, Run, Runs, pack_runs
from crtool.image.layout import DataLayout
from crtool.image.reader import ImageReader
from crtool.image.verified import VerifiedReader
from crtool.image.writer import ImageWriter

PAGE = 4096
Piped = Callable[[bytes], int]
HOWS = ("none", "zstd")


def page(number: int) -> bytes:
    """Bytes that compress a little, and that no other page has."""
    return random.Random(number).randbytes(PAGE // 2) + bytes([number % 251]) * (PAGE // 2)


def grown(path: Path, pages: Sequence[bytes], parent: Path | None = None, *, how: str = "none") -> Path:
    """An image of *pages*, of which those are not stored that *parent* has at the same place."""
    layout = DataLayout(PAGE)
    stored = []
    old: list[tuple[bytes, Origin, int]] = []
    if parent is not None:
        with ImageReader.open(parent) as reader:
            for at in range(0, reader.length, PAGE):
                (_, holder, offset), *_ = reader.places(at, PAGE)
                view = bytearray(PAGE)
                reader.read_at(at, memoryview(view))
                old.append((bytes(view), Origin(holder.root, os.fsencode(holder.path)), offset))
    for index, content in enumerate(pages):
        layout.reserve(PAGE)
        if index < len(old) and old[index][0] == content:
            layout.refer(index * PAGE, PAGE, *old[index][1:])
        else:
            stored.append(content)
    with ImageWriter.create(path, compressor=choose(how)) as image:
        image.begin(cpu="x86_64", page_size=PAGE, records=b"records", data_length=layout.stored, data_map=layout.map)
        image.append(b"".join(stored))
        image.finish()
    return path


def whole(path: Path, parents: Sequence[Path] = ()) -> bytes:
    """The data area of the image at *path*, verified."""
    with ImageReader.open(path, parents) as reader:
        reader.verify()
        content = bytearray(reader.length)
        reader.read_at(0, memoryview(content))
        return bytes(content)


def changed(pages: Sequence[bytes], *which: int) -> list[bytes]:
    """*pages*, some of them others."""
    return [page(1000 * len(which) + index) if index in which else content for index, content in enumerate(pages)]


@pytest.fixture(params=HOWS)
def chain(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[Path], list[list[bytes]]]:
    """Three images, the second and third of which store a part of their pages only; and their pages."""
    first = [page(number) for number in range(12)]
    second = changed(first, 3, 4, 11)
    third = [*changed(second, 0, 4), page(77)]
    paths = [tmp_path / name for name in ("a.crt", "b.crt", "c.crt")]
    for path, pages, parent in zip(paths, (first, second, third), (None, *paths), strict=False):
        grown(path, pages, parent, how=request.param)
    return paths, [first, second, third]


def test_every_image_of_a_chain_is_whole(chain: tuple[list[Path], list[list[bytes]]]) -> None:
    paths, contents = chain
    for path, pages in zip(paths, contents, strict=True):
        assert whole(path) == b"".join(pages)
    with ImageReader.open(paths[1]) as reader:
        assert reader.info.data_length == 3 * PAGE
        assert [origin.path for origin in reader.origins] == [os.fsencode(paths[0])]
    with ImageReader.open(paths[2]) as reader:
        assert reader.info.data_length == 3 * PAGE
        assert {origin.path for origin in reader.origins} == {os.fsencode(path) for path in paths[:2]}


def test_it_is_read_in_order_too(chain: tuple[list[Path], list[list[bytes]]], piped: Piped) -> None:
    paths, contents = chain
    expected = b"".join(contents[2])
    fd = piped(paths[2].read_bytes())
    with ImageReader.open(paths[2]) as from_file, ImageReader.from_descriptor(fd) as from_pipe:
        for reader in (from_file, from_pipe):
            got = bytearray()
            for length in (100, 5000, PAGE, 3 * PAGE):
                view = bytearray(length)
                reader.read_data(memoryview(view))
                got += view
            assert got == expected[: len(got)]
            reader.skip_to(9 * PAGE)
            view = bytearray(len(expected) - 9 * PAGE)
            reader.read_data(memoryview(view))
            assert view == expected[9 * PAGE :]
            reader.finish()
    os.close(fd)


@pytest.mark.parametrize("number", [0, 1])
def test_damage_of_an_image_in_front_is_found_and_named(
    number: int, chain: tuple[list[Path], list[list[bytes]]]
) -> None:
    paths, _ = chain
    parent = paths[number]
    raw = parent.read_bytes()
    step = max(1, len(raw) // 60)
    for at in {*range(0, len(raw), step), len(raw) - 1}:
        parent.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        with pytest.raises(ImageError, match=parent.name):
            whole(paths[2])
    for cut in (0, 5000, len(raw) - 1):
        parent.write_bytes(raw[:cut])
        with pytest.raises(ImageError, match=parent.name):
            whole(paths[2])
    parent.write_bytes(raw)
    whole(paths[2])


def test_one_that_is_gone_or_another_one_is_named(chain: tuple[list[Path], list[list[bytes]]], tmp_path: Path) -> None:
    paths, contents = chain
    aside = tmp_path / "aside"
    aside.mkdir()
    shutil.move(paths[0], aside)
    with pytest.raises(ImageError, match=r"c\.crt: its parent .*/a\.crt is gone"):
        whole(paths[2])
    shutil.copy(paths[1], paths[0])
    with pytest.raises(ImageError, match=r"c\.crt: its parent .*/a\.crt has been replaced"):
        whole(paths[2])
    for hint in (aside, aside / "a.crt"):
        assert whole(paths[2], [hint]) == b"".join(contents[2])


def test_a_chain_can_be_moved(chain: tuple[list[Path], list[list[bytes]]], tmp_path: Path) -> None:
    paths, contents = chain
    there = tmp_path / "there"
    there.mkdir()
    for path in paths:
        shutil.move(path, there)
    assert whole(there / "c.crt") == b"".join(contents[2])
    # Apart from each other, by a link to where they were.
    os.symlink(there / "a.crt", paths[0])
    shutil.move(there / "b.crt", paths[1])
    shutil.move(there / "c.crt", paths[2])
    assert whole(paths[2]) == b"".join(contents[2])


def test_what_an_image_stores_may_be_referred_to_more_than_once(tmp_path: Path) -> None:
    runs = [Run(PAGE, OWN, 0), Run(PAGE, OWN, PAGE), Run(2 * PAGE, OWN, 0)]
    with ImageWriter.create(tmp_path / "a.crt") as image:
        image.begin(
            cpu="x86_64", page_size=PAGE, records=b"", data_length=2 * PAGE, data_map=DataMap((), pack_runs(runs))
        )
        image.append(page(1) + page(2))
        image.finish()
    assert whole(tmp_path / "a.crt") == (page(1) + page(2)) * 2


ROOT = bytes(32)


@pytest.mark.parametrize(
    ("runs", "origins", "reason"),
    [
        (pack_runs([Run(PAGE, 0, 0)])[:-1], [], "not whole"),
        (pack_runs([Run(PAGE, 1, 0)]), [], "not named"),
        (pack_runs([Run(PAGE, 0, 4 * PAGE)]), [], "beyond"),
        (pack_runs([Run(PAGE, 0, 2**64 - PAGE)]), [], "beyond"),
        (pack_runs([Run(PAGE, 1, 2**61)]), [Origin(ROOT, b"/a")], "beyond"),
        (pack_runs([Run(100, 0, 0)]), [], "whole pages"),
        (pack_runs([Run(0, 0, 0)]), [], "whole pages"),
        (pack_runs([Run(PAGE, 0, 1)]), [], "whole pages"),
        (pack_runs([Run(PAGE, 1, 0)]), [Origin(b"short", b"/a")], "another length"),
        (b"", [Origin(ROOT, b"a.crt")], "impossible path"),
        (b"", [Origin(ROOT, b"http://[::1]/a.crt")], "impossible path"),
        (b"", [Origin(ROOT, b"/a\0.crt")], "impossible path"),
        (b"", [Origin(ROOT, b"")], "impossible path"),
        (pack_runs([Run(2**60, 1, 0), Run(2**60, 1, 0), Run(2**60, 1, 0)]), [Origin(ROOT, b"/a")], "too long"),
    ],
)
def test_a_map_that_cannot_be_is_refused(runs: bytes, origins: list[Origin], reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        Runs(DataMap(tuple(origins), runs), page_size=PAGE, stored=4 * PAGE, name="x")


def referring(path: Path, origin: Origin, run: Run) -> Path:
    """An image that stores nothing itself."""
    with ImageWriter.create(path) as image:
        data_map = DataMap((origin,), pack_runs([run]))
        image.begin(cpu="x86_64", page_size=PAGE, records=b"", data_length=0, data_map=data_map)
        image.finish()
    return path


def test_an_origin_that_stores_less_than_the_map_says_is_refused(tmp_path: Path) -> None:
    """By all who ask: what follows in the file of the other image is its trailer, and no memory."""
    base = grown(tmp_path / "a.crt", [page(1)])
    with ImageReader.open(base) as reader:
        origin = Origin(reader.root, os.fsencode(base))
    image = referring(tmp_path / "b.crt", origin, Run(PAGE, 1, PAGE))
    asked: list[Callable[[ImageReader], object]] = [
        ImageReader.verify,
        ImageReader.ancestors,
        lambda reader: list(reader.places(0, PAGE)),
        lambda reader: reader.read_at(0, memoryview(bytearray(PAGE))),
        lambda reader: VerifiedReader(reader).read(0, PAGE),
    ]
    for ask in asked:
        with ImageReader.open(image) as reader, pytest.raises(ImageError, match=r"more of .*a\.crt than that"):
            ask(reader)


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "socket"])
def test_only_a_file_is_opened_for_an_origin(kind: str, tmp_path: Path) -> None:
    """The image says what is opened: it must not make anybody wait, or start something."""
    path = tmp_path / "there" / "a.crt"
    path.parent.mkdir()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    image = referring(tmp_path / "b.crt", Origin(ROOT, os.fsencode(path)), Run(PAGE, 1, 0))
    with ImageReader.open(image) as reader, pytest.raises(ParentMissing, match=r"a\.crt: no file"):
        reader.verify()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 2), st.integers(0, 9)), min_size=1, max_size=12), st.data())
def test_any_part_is_put_together_from_the_right_runs(runs: list[tuple[int, int, int]], data: st.DataObject) -> None:
    made = [Run(length * PAGE, image, offset * PAGE) for length, image, offset in runs]
    origins = (Origin(ROOT, b"/a"), Origin(ROOT, b"/b"))
    found = Runs(DataMap(origins, pack_runs(made)), page_size=PAGE, stored=99 * PAGE, name="x")
    flat = [(run.image, run.offset + at) for run in made for at in range(0, run.length, PAGE // 2)]
    begin = data.draw(st.integers(0, len(flat) - 1))
    end = data.draw(st.integers(begin, len(flat)))
    got = [
        (run.image, run.offset + at)
        for run in found.between(begin * PAGE // 2, (end - begin) * PAGE // 2)
        for at in range(0, run.length, PAGE // 2)
    ]
    assert found.length == len(flat) * PAGE // 2
    assert got == flat[begin:end]
