"""Paths are looked up once, and held."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from crtool.kernel import resolve as module
from crtool.kernel.resolve import Diverted, resolve, resolve_folder, resolve_plain


@pytest.fixture(params=["openat2", "step by step"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the call, and on a kernel, or under a filter, that has none."""

    def missing(name: str, *args: int) -> int:
        raise OSError(errno.ENOSYS, name)

    if request.param == "step by step":
        monkeypatch.setattr(module, "syscall", missing)


def path_of(fd: int) -> bytes:
    try:
        return os.fsencode(os.readlink(f"/proc/self/fd/{fd}"))
    finally:
        os.close(fd)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As the kernel shows it."""
    return tmp_path.resolve()


@pytest.mark.usefixtures("way")
class TestResolve:
    def test_what_has_no_link(self, folder: Path) -> None:
        (folder / "a").mkdir()
        (folder / "a" / "file").touch()

        for path in (b"/", os.fsencode(folder), os.fsencode(folder / "a" / "file")):
            assert path == path_of(resolve(path))

    def test_what_stood_there_stays(self, folder: Path) -> None:
        (folder / "file").write_bytes(b"old")
        fd = resolve(os.fsencode(folder / "file"))
        (folder / "new").write_bytes(b"new")
        os.rename(folder / "new", folder / "file")

        assert b"old" == Path(f"/proc/self/fd/{fd}").read_bytes()
        os.close(fd)

    @pytest.mark.parametrize("target", ["{folder}/a", "a", "./a/../a", "../{name}/a"])
    def test_links_of_ones_own(self, target: str, folder: Path) -> None:
        (folder / "a").mkdir()
        (folder / "a" / "file").touch()
        os.symlink(target.format(folder=folder, name=folder.name), folder / "b")

        assert os.fsencode(folder / "a" / "file") == path_of(resolve(os.fsencode(folder / "b" / "file")))

    def test_a_link_at_the_end_is_not_followed(self, folder: Path) -> None:
        os.symlink("/nowhere", folder / "link")

        assert os.fsencode(folder / "link") == path_of(resolve(os.fsencode(folder / "link")))

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make links in the name of others")
    def test_links_of_others(self, folder: Path) -> None:
        (folder / "a").mkdir()
        (folder / "a" / "file").touch()
        os.symlink("a", folder / "b")
        os.lchown(folder / "b", 54321, 54321)

        with pytest.raises(Diverted) as found:
            resolve(os.fsencode(folder / "b" / "file"))
        assert (os.fsencode(folder / "b"), 54321) == (found.value.link, found.value.owner)

    def test_what_is_not_there(self, folder: Path) -> None:
        os.symlink("loop", folder / "loop")

        for name, number in (("none", errno.ENOENT), ("none/x", errno.ENOENT), ("loop/x", errno.ELOOP)):
            with pytest.raises(OSError, match=os.strerror(number)):
                resolve(os.fsencode(folder / name))

    def test_nothing_stays_open(self, folder: Path) -> None:
        os.symlink(".", folder / "link")
        before = os.listdir("/proc/self/fd")
        for path in ("link/link/none", "link/link"):
            try:
                os.close(resolve(os.fsencode(folder / path)))
            except OSError:
                pass

        assert before == os.listdir("/proc/self/fd")

    def test_a_folder(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """From where the caller is, and through links at the end of the path."""
        (folder / "a" / "b").mkdir(parents=True)
        (folder / "a" / "file").touch()
        os.symlink("a", folder / "link")
        monkeypatch.chdir(folder / "a")

        for path, expected in (
            (b"", "a"), (b"b", "a/b"), (b"..", ""), (b"../link", "a"), (os.fsencode(folder / "link"), "a"),
        ):  # fmt: skip
            assert os.fsencode(folder / expected) == path_of(resolve_folder(path))
        for path in (b"file", b"../link/file"):
            with pytest.raises(NotADirectoryError):
                resolve_folder(path)
        with pytest.raises(FileNotFoundError):
            resolve_folder(b"none")

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make links in the name of others")
    def test_a_folder_to_which_a_link_of_others_leads(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "a").mkdir()
        os.symlink("a", folder / "link")
        os.lchown(folder / "link", 54321, 54321)
        monkeypatch.chdir(folder)

        for path in (b"link", os.fsencode(folder / "link")):
            with pytest.raises(Diverted) as found:
                resolve_folder(path)
            assert 54321 == found.value.owner

    def test_a_root_of_its_own(self, folder: Path) -> None:
        """Neither ".." nor a link leads out of it."""
        (folder / "root" / "a").mkdir(parents=True)
        (folder / "root" / "a" / "file").touch()
        (folder / "a").mkdir()
        for name, target in (("up", "../../a"), ("down", "/a"), ("loop", "loop")):
            os.symlink(target, folder / "root" / name)
        root = os.open(folder / "root", os.O_PATH)
        try:
            for path in (b"/a/file", b"/up/file", b"/down/file"):
                assert os.fsencode(folder / "root" / "a" / "file") == path_of(resolve(path, root))
            assert os.fsencode(folder / "root") == path_of(resolve(b"/", root))
            assert os.fsencode(folder / "root" / "a") == path_of(resolve_plain(b"/a", root))
            for path, number in ((b"/up/file", errno.ELOOP), (b"/up", errno.ELOOP), (b"/none", errno.ENOENT)):
                with pytest.raises(OSError, match=os.strerror(number)):
                    resolve_plain(path, root)
        finally:
            os.close(root)
