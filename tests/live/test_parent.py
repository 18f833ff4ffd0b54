"""Images that build on a parent: of processes that write all the time, in every way in which images are made."""

from __future__ import annotations

import mmap
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from crtool.engine.checkpoint import checkpoint
from crtool.engine.diff import diff
from crtool.engine.live import LiveMode
from crtool.engine.restart import restart
from crtool.engine.results import RestartResult
from crtool.engine.show import show
from crtool.engine.squash import squash
from crtool.engine.verify import verify
from crtool.errors import ImageError, NotFound, UsageError
from crtool.image.writer import ImageWriter

from .victim import changed, sleeper
from .writer import PAGES, writer

MODES: list[tuple[LiveMode, str]] = [("fork", "none"), ("auto", "zstd"), ("off", "lz4")]


def chain_of(pid: int, folder: Path, live: LiveMode = "auto", compress: str = "none") -> list[str]:
    """A full image of a process that goes on, one that builds on it, and a last one that builds on that."""
    paths = [str(folder / name) for name in ("a.crt", "b.crt", "c.crt")]
    checkpoint(pid, paths[0], live=live, compress=compress)
    second = checkpoint(pid, paths[1], live=live, compress=compress, parent=paths[0])
    third = checkpoint(pid, paths[2], compress=compress, parent=paths[1], leave="killed")
    assert os.waitpid(pid, 0)[0] == pid
    for result in (second, third):
        assert result.pages_same + result.pages_written > PAGES
        assert result.pages_written < result.pages_same
    return paths


def require_right(image: str) -> None:
    """Restarts *image*, and lets the program look at all its memory."""

    def ask(result: RestartResult) -> None:
        os.kill(result.pid, signal.SIGTERM)

    assert restart(image, running=ask).status == 0


@pytest.mark.parametrize(("live", "compress"), MODES)
def test_a_chain_of_a_program_that_writes_comes_back(live: LiveMode, compress: str, tmp_path: Path) -> None:
    with writer() as pid:
        paths = chain_of(pid, tmp_path, live, compress)
        assert [os.path.basename(path) for path in verify(paths[2]).parents] == ["a.crt", "b.crt"]
        for path in paths[1:]:
            require_right(path)
        assert os.stat(paths[2]).st_size < os.stat(paths[0]).st_size // 2
        whole = str(tmp_path / "whole.crt")
        for parent in paths[:2]:
            with pytest.raises(UsageError, match=f"{parent}: {paths[2]} builds on it"):
                squash(paths[2], parent, force=True)
        assert squash(paths[2], whole, compress="zstd" if compress == "none" else "none").images == 3
        assert diff(paths[2], whole).changes == ()
        for path in paths:
            os.unlink(path)
        require_right(whole)


def test_it_has_the_same_pages_as_a_full_image(tmp_path: Path) -> None:
    base, full, partial, packed = (str(tmp_path / name) for name in ("base.crt", "full.crt", "partial.crt", "p.crt"))
    with writer() as pid:
        checkpoint(pid, base)
        os.kill(pid, signal.SIGSTOP)
        os.waitpid(pid, os.WUNTRACED)
        checkpoint(pid, full)
        checkpoint(pid, partial, parent=base)
        checkpoint(pid, packed, parent=base, live="off", compress="zstd")
    assert changed(base, full) != []
    for path in (partial, packed):
        assert changed(full, path) == []
        assert os.stat(path).st_size < os.stat(full).st_size // 2
        assert show(path).processes[0].memory_bytes == show(full).processes[0].memory_bytes


@pytest.mark.parametrize("live", ["fork", "auto", "off"])
def test_memory_that_a_fork_does_not_carry_beside_other(live: LiveMode, tmp_path: Path) -> None:
    """What is copied while the target stands still, and what its twin has, are written from where they are."""
    base, full, partial = (str(tmp_path / name) for name in ("base.crt", "full.crt", "partial.crt"))

    def prepare() -> mmap.mmap:
        memory = mmap.mmap(-1, 6 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory[:] = os.urandom(6 << 20)
        for at in (0, 3 << 20):
            memory.madvise(mmap.MADV_DONTFORK, at, 1 << 20)

        def write(*_: object) -> None:
            for at in range(0, 6 << 20, 1 << 20):  # half of each part, across all borders
                memory[at : at + (256 << 10)] = os.urandom(256 << 10)
                memory[at + (768 << 10) : at + (1 << 20)] = os.urandom(256 << 10)
            os.kill(os.getpid(), signal.SIGSTOP)

        signal.signal(signal.SIGUSR1, write)
        return memory

    with sleeper(prepare) as pid:
        checkpoint(pid, base, live=live)
        os.kill(pid, signal.SIGUSR1)
        os.waitpid(pid, os.WUNTRACED)
        checkpoint(pid, full, live=live)
        result = checkpoint(pid, partial, live=live, parent=base)

    assert changed(base, full) != []
    assert changed(full, partial) == []
    assert result.pages_written >= 6 * 128
    assert result.pages_same >= 6 * 128


def test_the_restarted_one_builds_on_the_chain(tmp_path: Path) -> None:
    with writer() as pid:
        paths = chain_of(pid, tmp_path)
        back = restart(paths[2], detach=True).pid
        again = checkpoint(back, tmp_path / "d.crt", parent=paths[2], leave="killed")
        assert again.pages_same > again.pages_written
        require_right(str(tmp_path / "d.crt"))


def test_a_stream_that_builds_on_a_file(tmp_path: Path) -> None:
    base = str(tmp_path / "base.crt")
    with writer() as pid:
        checkpoint(pid, base)
        fd = os.open(tmp_path / "stream", os.O_RDWR | os.O_CREAT)
        try:
            checkpoint(pid, fd, parent=base, leave="killed")
        finally:
            os.close(fd)
        os.waitpid(pid, 0)
        shutil.move(base, tmp_path / "moved.crt")
        reader, pipe = os.pipe()
        if (child := os.fork()) == 0:
            try:
                os.close(reader)
                with open(tmp_path / "stream", "rb") as file, open(pipe, "wb") as sink:
                    shutil.copyfileobj(file, sink)
            finally:
                os._exit(0)
        os.close(pipe)
        try:

            def ask(result: RestartResult) -> None:
                os.kill(result.pid, signal.SIGTERM)

            parents = [tmp_path / "moved.crt"]
            assert restart(reader, running=ask, parents=parents).status == 0
        finally:
            os.close(reader)
            with suppress(ChildProcessError):  # the restart has waited for it as well
                os.waitpid(child, 0)


def test_a_parent_that_is_no_use_is_named_and_nobody_is_harmed(tmp_path: Path) -> None:
    base, image = tmp_path / "base.crt", tmp_path / "image.crt"
    with writer() as pid:
        with pytest.raises(NotFound, match=r"base\.crt"):
            checkpoint(pid, image, parent=base)
        checkpoint(pid, base)
        with pytest.raises(UsageError, match="cannot replace its own parent"):
            checkpoint(pid, base, parent=base, force=True)
        middle = tmp_path / "middle.crt"
        checkpoint(pid, middle, parent=base)
        with pytest.raises(UsageError, match="cannot replace its own parent"):
            checkpoint(pid, base, parent=middle, force=True)
        raw = base.read_bytes()
        for at in (10, 5000, len(raw) // 2, len(raw) - 10):
            base.write_bytes(raw[:at] + bytes([raw[at] ^ 4]) + raw[at + 1 :])
            for parent in (base, middle):
                with pytest.raises(ImageError, match=r"base\.crt"):
                    checkpoint(pid, image, parent=parent)
        base.unlink()
        with pytest.raises(ImageError, match=r"its parent .*base\.crt is gone"):
            checkpoint(pid, image, parent=middle)
        with ImageWriter.create(base) as another:
            another.begin(cpu="x86_64", page_size=4096, records=b"", data_length=0)
            another.finish()
        with pytest.raises(ImageError, match=r"its parent .*base\.crt has been replaced"):
            checkpoint(pid, image, parent=middle)
        with pytest.raises(ImageError, match=r"its parent .*base\.crt has been replaced"):
            restart(middle)
        assert not image.exists()
        os.kill(pid, signal.SIGTERM)
        assert os.waitpid(pid, 0) == (pid, 0)
