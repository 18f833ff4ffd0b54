"""An image appears under its name only when it is whole, replaces nothing, and leaves nothing behind."""

from __future__ import annotations

import errno
import mmap
import os
import random
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from crtool.errors import EnvironmentDiffers, InternalError, UsageError
from crtool.image import place
from crtool.image.header import HEADER_LENGTH
from crtool.image.layout import DataLayout
from crtool.image.pipeline import BUFFER_SIZE
from crtool.image.reader import ImageReader
from crtool.image.writer import ImageWriter
from crtool.kernel.interruption import interrupt
from crtool.kernel.process import read_memory_into
from crtool.kernel.syscall import memory_address

RECORDS = b"records of a tiny image"
DATA = random.Random(1).randbytes(3 * 4096)
ROOT = Path(__file__).resolve().parents[3]
MakeImage = Callable[..., Path]
Piped = Callable[[bytes], int]


@pytest.fixture(params=["unnamed", "named", "no hard links"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """File systems of three kinds: with O_TMPFILE, without it, and without hard links as well."""
    real_open = os.open

    def without_tmpfile(path: bytes, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "no O_TMPFILE")
        return real_open(path, flags, mode, dir_fd=dir_fd)

    def without_links(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EPERM, "no hard links")

    if request.param != "unnamed":
        monkeypatch.setattr("crtool.image.place.os.open", without_tmpfile)
    if request.param == "no hard links":
        monkeypatch.setattr("crtool.image.place.os.link", without_links)
    kind: str = request.param
    return kind


def begun(path: Path, *, force: bool = False, data_length: int = len(DATA)) -> ImageWriter:
    image = ImageWriter.create(path, force=force)
    image.begin(cpu="x86_64", page_size=4096, records=RECORDS, data_length=data_length)
    return image


def test_the_name_appears_only_when_the_image_is_whole(tmp_path: Path, file_system: str) -> None:
    path = tmp_path / "a.crt"
    with begun(path) as image:
        image.append(DATA)

        assert not path.exists()
        assert len(os.listdir(tmp_path)) == (0 if file_system == "unnamed" else 1)

        size = image.finish()

    assert os.listdir(tmp_path) == ["a.crt"]
    assert path.stat().st_size == size
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with ImageReader.open(path) as image:
        image.verify()
        assert image.records == RECORDS


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_the_mode_is_0600_whatever_the_umask(
    tmp_path: Path, file_system: str, umask: int, make_image: MakeImage
) -> None:
    old = os.umask(umask)
    try:
        path = make_image(tmp_path / "a.crt", RECORDS, DATA)
    finally:
        os.umask(old)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_leaving_the_block_early_leaves_nothing(tmp_path: Path, file_system: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ZeroDivisionError), begun(tmp_path / "a.crt", data_length=5 << 20) as image:
        image.append(bytes(3 << 20))
        raise ZeroDivisionError

    assert os.listdir(tmp_path) == []
    assert len(os.listdir("/proc/self/fd")) == before
    assert not any(thread.name == "crtool-image" for thread in threading.enumerate())


def test_a_killed_writer_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from crtool.image.writer import ImageWriter\n"
        "image = ImageWriter.create(sys.argv[1])\n"
        "image.begin(cpu='x86_64', page_size=4096, records=b'r', data_length=8 << 20)\n"
        "image.append(bytes(5 << 20))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.crt")], env={"PYTHONPATH": str(ROOT)})

    assert done.returncode == -signal.SIGKILL
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("force", [False, True])
def test_a_signal_at_any_line_leaves_nothing_or_a_whole_image(tmp_path: Path, file_system: str, force: bool) -> None:
    """Of crtool/image/place.py, which makes names and takes them back."""
    path, lines = tmp_path / "a.crt", 0

    def trace(frame: FrameType, event: str, _argument: object) -> Callable[..., Any] | None:
        nonlocal left
        if frame.f_code.co_filename != place.__file__:
            return None
        if event == "line" and left >= 0:
            left -= 1
            if left < 0:
                interrupt(KeyboardInterrupt())
        return trace

    while True:
        lines += 1
        left = lines
        path.unlink(missing_ok=True)
        sys.settrace(trace)
        try:
            with ImageWriter.create(path, force=force) as image:
                image.begin(cpu="x86_64", page_size=4096, records=RECORDS, data_length=len(DATA))
                image.append(DATA)
                image.finish()
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)

        assert os.listdir(tmp_path) in ([], ["a.crt"])
        if path.exists():
            with ImageReader.open(path) as reader:
                reader.verify()
        if left >= 0:  # it was done before its turn came
            break

    assert lines > 50


def test_an_existing_name_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.crt"
    path.write_text("mine")

    with pytest.raises(UsageError, match=r"a\.crt: exists already") as caught:
        ImageWriter.create(path)

    assert caught.value.status == 120
    assert "--force" in (caught.value.remedy or "")
    assert path.read_text() == "mine"


def test_a_dangling_link_is_an_existing_name(tmp_path: Path) -> None:
    (tmp_path / "a.crt").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(UsageError):
        ImageWriter.create(tmp_path / "a.crt")


def test_a_name_that_was_taken_meanwhile_is_refused_at_the_end(tmp_path: Path, file_system: str) -> None:
    path = tmp_path / "a.crt"
    with pytest.raises(UsageError, match="exists already"), begun(path) as image:
        image.append(DATA)
        path.write_text("theirs")
        image.finish()

    assert os.listdir(tmp_path) == ["a.crt"]
    assert path.read_text() == "theirs"


def test_force_replaces_a_file_in_one_step(tmp_path: Path, file_system: str) -> None:
    path = tmp_path / "a.crt"
    path.write_text("old")
    with begun(path, force=True) as image:
        image.append(DATA)

        assert path.read_text() == "old"

        image.finish()

    assert os.listdir(tmp_path) == ["a.crt"]
    with ImageReader.open(path) as reader:
        reader.verify()


def test_force_replaces_a_link_and_not_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    path = tmp_path / "a.crt"
    path.symlink_to("precious")
    with begun(path, force=True) as image:
        image.append(DATA)
        image.finish()

    assert not path.is_symlink()
    assert (tmp_path / "precious").read_text() == "precious"


def test_force_does_not_replace_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.crt")
    (tmp_path / "b.crt").mkdir()

    for name in ("a.crt", "b.crt"):
        with pytest.raises(UsageError, match="no regular file"):
            ImageWriter.create(tmp_path / name, force=True)


@pytest.mark.parametrize("path", ["", ".", "..", "{}/", "{}/.."])
def test_a_name_is_needed(tmp_path: Path, path: str) -> None:
    with pytest.raises(UsageError, match="needs the name of a file"):
        ImageWriter.create(path.format(tmp_path))


def test_any_kind_of_path_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_image: MakeImage) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("a.crt", b"b\xff.crt", Path("c.crt"), "d" * 251 + ".crt"):
        with ImageWriter.create(path) as image:
            image.begin(cpu="x86_64", page_size=4096, records=b"", data_length=0)
            image.finish()
        with ImageReader.open(path) as reader:
            reader.verify()

    with pytest.raises(EnvironmentDiffers, match="name is too long"):
        make_image(Path("e" * 256), b"", b"")


def test_names_are_shown_in_one_printable_line(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/a\n\xff\x1b.crt"
    with ImageWriter.create(path) as image:
        assert image.name.endswith("a\\x0a\\xff\\x1b.crt")


@pytest.mark.parametrize(("records", "page_size"), [(0, 4096), (1, 4096), (4096, 4096), (4097, 4096), (3, 65536)])
def test_data_begins_at_a_page(tmp_path: Path, records: int, page_size: int, make_image: MakeImage) -> None:
    path = make_image(tmp_path / "a.crt", bytes(records), bytes(page_size), page_size=page_size)
    with ImageReader.open(path) as image:
        assert image.data_offset % page_size == 0
        assert HEADER_LENGTH + records <= image.data_offset < HEADER_LENGTH + records + page_size
        assert image.records == bytes(records)
        image.verify()


def test_segments_padding_and_zeros_land_where_the_layout_says(tmp_path: Path) -> None:
    layout = DataLayout(4096)
    pieces = [b"a", b"b" * 5000, b"", b"c" * 4096, b"d" * (BUFFER_SIZE + 7)]
    segments = [layout.reserve(len(piece)) for piece in pieces]
    hole = layout.reserve(3 * 4096)
    path = tmp_path / "a.crt"
    with begun(path, data_length=layout.length) as image:
        for piece in pieces:
            image.append(piece)
            image.pad()
        image.zeros(hole.length)
        image.finish()

    with ImageReader.open(path) as reader:
        reader.verify()
        content = path.read_bytes()
        for segment, piece in zip(segments, pieces, strict=True):
            offset = reader.data_offset + segment.offset
            assert content[offset : offset + segment.length] == piece
            assert not any(content[offset + segment.length : offset + -(-segment.length // 4096) * 4096])
        assert not any(content[reader.data_offset + hole.offset :][: hole.length])


def test_pages_of_another_process_go_through_the_buffer(tmp_path: Path) -> None:
    length = 3 * BUFFER_SIZE + 8192
    area = memoryview(mmap.mmap(-1, length))
    for page in range(0, length, 4096):
        area[page : page + 8] = page.to_bytes(8, "little")
    path, done = tmp_path / "a.crt", 0
    with begun(path, data_length=length) as image:
        while done < length:
            view = image.buffer()[: length - done]
            assert image.address == memory_address(view)
            assert image.address % 4096 == 0
            got = read_memory_into(os.getpid(), [(memory_address(area) + done, len(view))], view)
            image.submit(got)
            done += got
        image.finish()

    with ImageReader.open(path) as reader:
        reader.verify()
        assert path.read_bytes()[reader.data_offset :][:length] == area


def test_too_much_and_too_little_data_is_our_own_mistake(tmp_path: Path) -> None:
    with begun(tmp_path / "a.crt", data_length=4096) as image:
        image.append(bytes(4000))
        with pytest.raises(InternalError, match="more data"):
            image.append(bytes(97))
        with pytest.raises(InternalError, match="less data"):
            image.finish()
        with pytest.raises(InternalError, match="begun already"):
            image.begin(cpu="x86_64", page_size=4096, records=b"", data_length=0)
    with ImageWriter.create(tmp_path / "a.crt") as image:
        with pytest.raises(InternalError, match="whole pages"):
            image.begin(cpu="x86_64", page_size=4096, records=b"", data_length=1)
        with pytest.raises(InternalError, match="more data"):
            image.append(b"x")
        with pytest.raises(InternalError, match="less data"):
            image.finish()

    assert os.listdir(tmp_path) == []


def test_a_pipe_and_a_file_get_the_same_bytes(tmp_path: Path, make_image: MakeImage) -> None:
    data = bytes(range(256)) * 16 * 700
    path = make_image(tmp_path / "a.crt", RECORDS, data)
    read_end, write_end = os.pipe()
    got = bytearray()

    def drain() -> None:
        while part := os.read(read_end, 1 << 20):
            got.extend(part)

    thread = threading.Thread(target=drain)
    thread.start()
    os.set_blocking(write_end, False)
    with ImageWriter.to_descriptor(write_end) as image:
        os.close(write_end)
        image.begin(cpu="x86_64", page_size=4096, records=RECORDS, data_length=len(data))
        image.append(data)
        size = image.finish()
    thread.join()
    os.close(read_end)

    assert size == len(got)
    assert bytes(got) == path.read_bytes()
