"""An image with one byte flipped, cut, or added, anywhere, is refused with status 123 and the section named.

And where a new image cannot be written, one line says why and nothing is left.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crtool.errors import CrtoolError, EnvironmentDiffers, ImageError
from crtool.image.reader import ImageReader
from crtool.image.writer import ImageWriter

ROOT = Path(__file__).resolve().parents[2]
RECORDS = b"records of an image that will be damaged"
PAGES = 2
DATA = random.Random(2).randbytes(PAGES * 4096)
DATA_OFFSET = 8192
TRAILER_OFFSET = DATA_OFFSET + len(DATA)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a small image."""
    path = tmp_path_factory.mktemp("whole") / "a.crt"
    write(path)
    return path.read_bytes()


def write(path: Path, data: bytes = DATA, records: bytes = RECORDS) -> None:
    with ImageWriter.create(path) as image:
        image.begin(cpu="x86_64", page_size=4096, records=records, data_length=len(data))
        image.append(data)
        image.finish()


def refusal(read: Callable[[], object]) -> str:
    """The message with which *read* refuses; it must be of the right kind, in one line, with a remedy."""
    with pytest.raises(ImageError) as caught:
        read()
    error = caught.value
    assert error.status == 123
    assert "\n" not in error.message
    assert error.remedy
    return error.message


def verify(path: Path | str) -> None:
    with ImageReader.open(path) as image:
        image.verify()


def stream(data: bytes) -> None:
    """Reads *data* from a pipe to its end."""
    read_end, write_end = os.pipe()
    try:
        os.set_blocking(write_end, False)
        if data:
            assert os.write(write_end, data) == len(data)
        os.close(write_end)
        with ImageReader.from_descriptor(read_end) as image:
            image.finish()
    finally:
        os.close(read_end)


def section_of(offset: int) -> str:
    """How the section is called in which a flipped byte is found."""
    if offset < 8:
        return "not an image"
    if offset < 4096:
        return "header"
    if offset < DATA_OFFSET:
        return "records"
    return f"data, bytes {DATA_OFFSET}–{TRAILER_OFFSET - 1}" if offset < TRAILER_OFFSET else "trailer"


def test_the_whole_image_is_fine(whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.crt").write_bytes(whole)

    verify(tmp_path / "a.crt")
    stream(whole)


def test_a_flip_at_every_byte_is_found_and_its_section_named(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.crt"
    path.write_bytes(whole)
    with path.open("r+b", buffering=0) as file:
        for offset, byte in enumerate(whole):
            os.pwrite(file.fileno(), bytes([byte ^ 1 << offset % 8]), offset)
            message = refusal(lambda: verify(path))
            assert section_of(offset) in message, offset
            os.pwrite(file.fileno(), bytes([byte]), offset)


def test_a_flip_is_found_in_a_pipe_too(whole: bytes) -> None:
    for offset in [*range(100), *range(100, TRAILER_OFFSET, 61), *range(TRAILER_OFFSET, len(whole))]:
        damaged = bytearray(whole)
        damaged[offset] ^= 1 << offset % 8
        assert section_of(offset) in refusal(lambda data=bytes(damaged): stream(data)), offset  # type: ignore[misc]


def cut_section(length: int) -> str:
    """How the section is called in which a file of *length* bytes ends."""
    if length == 0:
        return "empty"
    if length < 4096:
        return "header"
    if length < DATA_OFFSET:
        return "records"
    return f"data, bytes {length}–{TRAILER_OFFSET - 1}" if length < TRAILER_OFFSET else "trailer"


def test_a_cut_at_every_byte_is_found_and_its_section_named(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.crt"
    path.write_bytes(whole)
    for length in reversed(range(len(whole))):
        os.truncate(path, length)
        assert cut_section(length) in refusal(lambda: verify(path)), length


def test_a_cut_is_found_in_a_pipe_too(whole: bytes) -> None:
    for length in [*range(100), *range(100, TRAILER_OFFSET, 61), *range(TRAILER_OFFSET, len(whole))]:
        assert cut_section(length) in refusal(lambda data=whole[:length]: stream(data)), length  # type: ignore[misc]


@pytest.mark.parametrize("added", [b"\0", b"x", bytes(4096), b"\x89CRT\r\n\x1a\n"])
def test_whatever_follows_the_end_is_found(whole: bytes, tmp_path: Path, added: bytes) -> None:
    path = tmp_path / "a.crt"
    path.write_bytes(whole + added)

    assert f"trailer: {len(added) if len(added) > 1 else 'one'} byte" in refusal(lambda: verify(path))
    assert "trailer: at least one byte more than" in refusal(lambda: stream(whole + added))


def test_two_images_in_one_file_are_none(whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.crt").write_bytes(whole + whole)

    refusal(lambda: verify(tmp_path / "a.crt"))
    refusal(lambda: stream(whole + whole))


@pytest.mark.parametrize("begin", [4096, DATA_OFFSET, TRAILER_OFFSET])
def test_sections_of_another_image_are_found(whole: bytes, tmp_path: Path, begin: int) -> None:
    """Each section is right in itself; that they do not belong together is said by the hashes that bind them."""
    path = tmp_path / "a.crt"
    write(path, random.Random(3).randbytes(len(DATA)), RECORDS[::-1])
    other = path.read_bytes()

    refusal(lambda: stream(whole[:begin] + other[begin:]))
    path.write_bytes(whole[:begin] + other[begin:])
    refusal(lambda: verify(path))


def test_bytes_taken_out_and_put_in_are_found(whole: bytes) -> None:
    dice = random.Random(4)
    for _ in range(100):
        place, count = dice.randrange(len(whole)), dice.randrange(1, 300)
        refusal(lambda p=place, c=count: stream(whole[:p] + whole[p + c :]))  # type: ignore[misc]
        refusal(lambda p=place, c=count: stream(whole[:p] + bytes(c) + whole[p:]))  # type: ignore[misc]


def test_a_file_that_is_cut_while_it_is_read_is_found(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.crt"
    path.write_bytes(whole)
    with ImageReader.open(path) as image:
        os.truncate(path, DATA_OFFSET + 100)

        assert "data, bytes" in refusal(image.verify)
        assert "data, bytes" in refusal(image.finish)


# --- places where no image can be written -------------------------------------------------------------------------


def complaint(write_it: Callable[[], object], status: int = 126) -> str:
    """The message with which a place is refused."""
    with pytest.raises(CrtoolError) as caught:
        write_it()
    assert caught.value.status == status
    assert "\n" not in caught.value.message
    assert caught.value.remedy
    return caught.value.message


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.machine("new mounts")
@pytest.mark.parametrize("length", [1 << 20, 2 << 20, 40 << 20])
def test_a_full_disk_is_named_and_nothing_is_left(small_disk: Path, length: int) -> None:
    message = complaint(lambda: write(small_disk / "a.crt", bytes(length)))

    assert message.endswith("a.crt: cannot be written: no space is left there")
    assert os.listdir(small_disk) == []
    write(small_disk / "a.crt", bytes(800 << 10))


@pytest.mark.machine("new mounts")
def test_a_read_only_disk_is_named(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)

    assert "read-only" in complaint(lambda: write(small_disk / "a.crt"))


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    assert "that folder does not exist" in complaint(lambda: write(tmp_path / "none" / "a.crt"))


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert "no folder" in complaint(lambda: write(tmp_path / "file" / "a.crt"))


def test_a_folder_that_vanishes_meanwhile_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()

    def write_and_remove() -> None:
        with ImageWriter.create(folder / "a.crt") as image:
            image.begin(cpu="x86_64", page_size=4096, records=RECORDS, data_length=0)
            shutil.rmtree(folder)
            image.finish()

    assert "that folder does not exist" in complaint(write_and_remove)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_moves_meanwhile_gets_the_image(tmp_path: Path) -> None:
    folder = tmp_path / "before"
    folder.mkdir()
    with ImageWriter.create(folder / "a.crt") as image:
        image.begin(cpu="x86_64", page_size=4096, records=RECORDS, data_length=0)
        folder.rename(tmp_path / "after")
        image.finish()

    verify(tmp_path / "after" / "a.crt")


def test_a_limit_of_the_file_size_is_named(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        message = complaint(lambda: write(tmp_path / "a.crt", bytes(3 << 20)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert "larger than allowed" in message
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_folder_of_somebody_else_is_named(tmp_path: Path) -> None:
    code = (
        "import os, sys; from crtool.image.writer import ImageWriter; from crtool.errors import CrtoolError\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: ImageWriter.create(sys.argv[1])\n"
        "except CrtoolError as error: print(error.message); sys.exit(error.status)\n"
    )
    os.chmod(tmp_path, 0o755)
    # The folders above belong to pytest and are private: the way in is a descriptor.
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, f"/proc/self/fd/{folder}/a.crt"],
            env={"PYTHONPATH": str(ROOT)}, pass_fds=[folder], capture_output=True, text=True,
        )  # fmt: skip
    finally:
        os.close(folder)

    assert (done.returncode, "no permission to write there" in done.stdout) == (126, True), done


def test_a_full_device_behind_a_pipe_is_named() -> None:
    def write_to_full() -> None:
        with open("/dev/full", "wb") as full, ImageWriter.to_descriptor(full.fileno()) as image:
            image.begin(cpu="x86_64", page_size=4096, records=RECORDS, data_length=0)

    assert "no space" in complaint(write_to_full)


@pytest.mark.parametrize("length", [0, 4096, 20 << 20])
def test_a_reader_that_ends_is_named(length: int) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)

    def write_to_nobody() -> None:
        with ImageWriter.to_descriptor(write_end) as image:
            image.begin(cpu="x86_64", page_size=4096, records=RECORDS, data_length=length)
            image.zeros(length)
            image.finish()

    try:
        assert "the reader of the pipe has ended" in complaint(write_to_nobody)
    finally:
        os.close(write_end)


def test_a_reader_that_ends_in_the_middle_is_named() -> None:
    read_end, write_end = os.pipe()
    length = 30 << 20

    def write_to_a_quitter() -> None:
        nonlocal read_end
        with ImageWriter.to_descriptor(write_end) as image:
            image.begin(cpu="x86_64", page_size=4096, records=RECORDS, data_length=length)
            image.zeros(1 << 20)
            os.close(read_end)
            image.zeros(length - (1 << 20))
            image.finish()

    try:
        with pytest.raises(EnvironmentDiffers, match="the reader of the pipe has ended"):
            write_to_a_quitter()
    finally:
        os.close(write_end)


def test_a_closed_descriptor_is_named() -> None:
    assert "cannot be written" in complaint(lambda: ImageWriter.to_descriptor(987))
