"""Things out of images: what comes is what was there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import crtool
from crtool.engine.core import core
from crtool.engine.diff import diff
from crtool.engine.extract import extract
from crtool.errors import ImageError, NotFound, UsageError

from .harness.processes import Deadline

_PROGRAM = """
import ctypes, mmap, os, socket, time
deleted = open("gone", "w+b"); deleted.write(b"deleted, " * 1000); deleted.truncate(1 << 20); deleted.flush()
os.unlink("gone")
kept = open("kept"); named = os.memfd_create("name"); os.write(named, b"in a memfd")
ends = os.pipe(); os.write(ends[1], b"unread in a pipe")
one, other = socket.socketpair(); other.send(b"unread in a socket"); other.send(b", twice")
room = mmap.mmap(-1, 1 << 20); room[5000:5010] = b"0123456789"
at = ctypes.addressof(ctypes.c_char.from_buffer(room))
print(deleted.fileno(), kept.fileno(), named, ends[0], one.fileno(), at, flush=True)
time.sleep(1000)
"""


@pytest.fixture(scope="module", params=["none", "zstd"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int]]:
    folder = tmp_path_factory.mktemp("extract")
    (folder / "kept").write_text("only its name")
    with open(folder / "out", "wb") as out:
        process = subprocess.Popen([sys.executable, "-c", _PROGRAM], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   cwd=folder, start_new_session=True)  # fmt: skip
    try:
        Deadline(30, "ready").wait_until(lambda: (folder / "out").read_text().endswith("\n"))
        crtool.checkpoint(process.pid, folder / "x.crt", compress=request.param)
    finally:
        process.kill()
        process.wait()
    return folder, [int(word) for word in (folder / "out").read_text().split()]


def test_files_pipes_sockets_and_memory(made: tuple[Path, list[int]], tmp_path: Path) -> None:
    folder, (deleted, _, named, pipe, socket, at) = made
    whole = b"deleted, " * 1000 + bytes((1 << 20) - 9000)
    for number, (wanted, expected) in enumerate([
        ({"fd": deleted}, whole),
        ({"file": f"{folder}/gone"}, whole),
        ({"fd": named}, b"in a memfd"),
        ({"file": "memfd:name"}, b"in a memfd"),
        ({"fd": pipe}, b"unread in a pipe"),
        ({"fd": socket}, b"unread in a socket, twice"),
        ({"memory": f"{at + 4990:x}-{at + 5020:#x}"}, bytes(10) + b"0123456789" + bytes(10)),
        ({"memory": f"{at:x}+{1 << 20:x}"}, bytes(5000) + b"0123456789" + bytes((1 << 20) - 5010)),
    ]):  # fmt: skip
        result = extract(folder / "x.crt", tmp_path / str(number), **wanted)
        assert expected == (tmp_path / str(number)).read_bytes(), wanted
        assert len(expected) == result.size
        assert 0o600 == (tmp_path / str(number)).stat().st_mode & 0o777


def test_a_mapping_by_its_name_to_standard_output(made: tuple[Path, list[int]]) -> None:
    folder, _ = made
    done = subprocess.run([sys.executable, "-m", "crtool", "extract", "--memory", "[stack]", folder / "x.crt"],
                          capture_output=True, timeout=60, check=False)  # fmt: skip

    assert 0 == done.returncode, done.stderr
    (stack,) = [found for found in crtool.show(folder / "x.crt").processes[0].mappings if found.name == "[stack]"]
    assert stack.end - stack.start == len(done.stdout)
    assert sys.executable.encode() in done.stdout  # what it was executed with


def test_a_reader_who_has_seen_enough(made: tuple[Path, list[int]]) -> None:
    """less(1), left early."""
    folder, _ = made
    with subprocess.Popen([sys.executable, "-m", "crtool", "extract", "--file", f"{folder}/gone", folder / "x.crt"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()

        assert b"" == process.stderr.read()
        assert -signal.SIGPIPE == process.wait()


def test_what_is_not_there_is_said(made: tuple[Path, list[int]], tmp_path: Path) -> None:
    folder, (_, kept, _, _, _, at) = made
    image = folder / "x.crt"
    code = next(found for found in crtool.show(image).processes[0].mappings if found.permissions == "r-xp")
    for wanted, cause in (
        ({}, "what is to be extracted"),
        ({"fd": 1, "file": "x"}, "what is to be extracted"),
        ({"fd": 999}, "has no descriptor 999"),
        ({"fd": kept}, "the image has the name of the file, and not what is in it"),
        ({"file": "/nix"}, "no process of the image has a file of that name"),
        ({"memory": "1000-2000"}, "there is no memory at 1000"),
        ({"memory": "2000-1000"}, "ends before it begins"),
        ({"memory": "[nix]"}, "no memory that is called"),
        ({"memory": f"{code.start:x}-{code.end:x}"}, "is not in the image: it is in a mapped file"),
        ({"memory": f"{at:x}+1", "pid": 1}, "there is no process 1 in the image"),
    ):
        with pytest.raises(UsageError) as caught:
            extract(image, tmp_path / "x", **wanted)
        assert cause in caught.value.message
        assert caught.value.remedy
    with pytest.raises(NotFound):
        extract(folder / "nix", tmp_path / "x", fd=1)
    assert not os.path.exists(tmp_path / "x")


def test_a_damaged_image_gives_nothing(made: tuple[Path, list[int]], tmp_path: Path) -> None:
    folder, (deleted, *_) = made
    damaged = bytearray((folder / "x.crt").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "x.crt").write_bytes(damaged)
    os.chmod(tmp_path / "x.crt", 0o600)
    with pytest.raises(ImageError):
        extract(tmp_path / "x.crt", tmp_path / "x", fd=deleted)

    assert not os.path.exists(tmp_path / "x")


@pytest.mark.parametrize("options", [(), ("--pid",)])
def test_pictures_are_svg(made: tuple[Path, list[int]], tmp_path: Path, options: tuple[str, ...]) -> None:
    folder, _ = made
    process = crtool.show(folder / "x.crt").processes[0]
    command = [sys.executable, "-m", "crtool", "show", "--map", "-o", tmp_path / "x.svg", folder / "x.crt"]
    done = subprocess.run([*command, *(["--pid", str(process.pid)] if options else [])], capture_output=True,
                          timeout=60, check=False)  # fmt: skip

    assert (0, b"") == (done.returncode, done.stderr)
    root = ElementTree.parse(tmp_path / "x.svg").getroot()
    assert "{http://www.w3.org/2000/svg}svg" == root.tag
    text = "\n".join(element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text"))
    assert f"PID {process.pid}" in text
    if options:
        assert all(f"{mapping.start:016x}" in text for mapping in process.mappings)
        assert "[stack]" in text


def test_unix_sockets_are_shown(made: tuple[Path, list[int]]) -> None:
    folder, (_, _, _, _, socket, _) = made
    (shown,) = [found for found in crtool.show(folder / "x.crt").processes[0].sockets if found.fd == socket]

    assert ("unix", "connected, 25 bytes unread") == (shown.kind, shown.detail)


_NO_ROOM = """
import os, resource, signal, sys, fsspec
from crtool.engine.core import core
from crtool.errors import EnvironmentDiffers
fsspec.filesystem("memory").put_file(sys.argv[1], "/there/x.crt")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    core("memory://there/x.crt", "core")
except EnvironmentDiffers as error:
    print(error.message, os.listdir(), sep="\\n")
"""


def test_an_image_behind_a_url(made: tuple[Path, list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """extract, core and diff need all of it: they make a copy that has no name, and say if there is no room for one."""
    fsspec = pytest.importorskip("fsspec")
    folder, (deleted, *_) = made
    store = fsspec.filesystem("memory")  # of all tests of this process
    there = f"memory://{tmp_path.name}"
    store.put_file(str(folder / "x.crt"), f"/{tmp_path.name}/x.crt")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    seen = []
    extract(f"{there}/x.crt", tmp_path / "gone", fd=deleted, progress=seen.append)
    core(f"{there}/x.crt", tmp_path / "core")
    core(folder / "x.crt", tmp_path / "core of the file")
    length = (folder / "x.crt").stat().st_size

    assert (b"deleted, " * 1000).ljust(1 << 20, b"\0") == (tmp_path / "gone").read_bytes()
    assert ["fetching", "verifying", "writing"] == list(dict.fromkeys(news.stage for news in seen))
    assert (length, length) == [(news.done, news.total) for news in seen if news.stage == "fetching"][-1]
    assert (tmp_path / "core").read_bytes() == (tmp_path / "core of the file").read_bytes()
    assert () == diff(folder / "x.crt", f"{there}/x.crt").changes
    with pytest.raises(NotFound, match=f"{there}/none: no such image"):
        diff(folder / "x.crt", f"{there}/none")
    assert [] == os.listdir(temporary)

    command = [sys.executable, "-c", _NO_ROOM, folder / "x.crt"]
    full = subprocess.run(
        command, env={**os.environ, "TMPDIR": str(temporary)}, cwd=temporary, capture_output=True, text=True
    )
    assert f"{temporary}: no copy of memory://there/x.crt can be made there: File too large\n[]\n" == full.stdout
