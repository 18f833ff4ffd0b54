"""Folders of images: what is listed, what is removed, and what never is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import crtool
from crtool.engine import store
from crtool.engine.results import Progress
from crtool.errors import ImageError, NotFound, UsageError
from crtool.image import codec
from crtool.image.writer import ImageWriter

from .test_without_root import as_user, user

NULL = subprocess.DEVNULL


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One with four images of a sleeping process, written a minute after the other: 0.crt is the oldest."""
    sleeper = subprocess.Popen(["sleep", "1000"], stdin=NULL, stdout=NULL, stderr=NULL)
    try:
        while Path(f"/proc/{sleeper.pid}/comm").read_text() != "sleep\n":
            pass
        for number in range(4):
            path = tmp_path / f"{number}.crt"
            crtool.checkpoint(sleeper.pid, path)
            os.utime(path, (1_000_000_000 + 60 * number,) * 2)
    finally:
        sleeper.kill()
        sleeper.wait()
    return tmp_path


def damage(path: Path) -> None:
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(status.st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, (status.st_mtime, status.st_mtime))


def names(paths: object) -> list[str]:
    return [os.path.basename(path) for path in paths]  # type: ignore[attr-defined]


def crtool_says(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "crtool", *map(str, words)], capture_output=True, text=True)


def test_the_list(folder: Path) -> None:
    (folder / "notes.txt").touch()
    listed = json.loads(crtool_says("ls", "--json", folder).stdout)

    assert ["3.crt", "2.crt", "1.crt", "0.crt"] == names(image["path"] for image in listed["images"])
    assert {("sleep 1000", 1)} == {(image["command"], image["processes"]) for image in listed["images"]}


def test_a_damaged_image_in_the_list(folder: Path) -> None:
    damage(folder / "2.crt")
    (folder / "1.crt").write_bytes(b"")
    unread = {image.path[-5:]: image.damaged for image in store.list_store(str(folder)).images}
    read = {image.path[-5:]: image.damaged for image in store.list_store(str(folder), verify_all=True).images}

    assert [None, None] == [unread["3.crt"], unread["0.crt"]]
    assert "1.crt: the file is empty" in str(unread["1.crt"])
    assert "2.crt: the image is damaged: data" in str(read["2.crt"])
    assert [None, None] == [read["3.crt"], read["0.crt"]]


def test_an_image_of_other_records_is_named(tmp_path: Path) -> None:
    """Such as another version of crtool may have written."""
    with ImageWriter.create(tmp_path / "other.crt") as image:
        image.begin(cpu="x86_64", page_size=4096, records=codec.pack(Progress("saving", 0, 0)), data_length=0)
        image.finish()
    (listed,) = store.list_store(str(tmp_path)).images
    said: list[str] = []
    with pytest.raises(ImageError):
        store.newest_whole(str(tmp_path), said.append)

    for line in (str(listed.damaged), *said):
        assert line.startswith(f"{tmp_path}/other.crt: the records of the image are of another kind")
    assert 1 == len(said)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
@pytest.mark.parametrize("verb", [("ls",), ("prune", "--keep", "1"), ("restart",)])
def test_a_folder_that_the_caller_may_not_read(verb: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        words = ("-m", "crtool", *verb, folder)
        done = subprocess.run(**as_user(user().python, *words, cwd="/", capture_output=True, text=True))

    assert (121, f"crtool: {folder}: no permission to read the folder\n  ask its owner\n") == (
        done.returncode, done.stderr,
    )  # fmt: skip


def test_the_newest_that_is_whole(folder: Path) -> None:
    damage(folder / "3.crt")
    said: list[str] = []

    assert str(folder / "2.crt") == store.newest_whole(str(folder), said.append)
    assert 1 == len(said)
    assert "3.crt: the image is damaged" in said[0]


def test_none_is_whole(folder: Path) -> None:
    for path in folder.iterdir():
        damage(path)

    with pytest.raises(ImageError, match="has no whole image: all 4 are damaged"):
        store.newest_whole(str(folder), lambda line: None)


def test_the_newest_are_kept(folder: Path) -> None:
    damage(folder / "3.crt")
    size = sum((folder / name).stat().st_size for name in ("3.crt", "0.crt"))
    planned = store.prune(str(folder), 2, dry_run=True)
    before = sorted(names(folder.iterdir()))
    done = store.prune(str(folder), 2)

    assert ["0.crt", "1.crt", "2.crt", "3.crt"] == before
    assert (["2.crt", "1.crt"], ["3.crt", "0.crt"], size) == (names(done.kept), names(done.removed), done.freed)
    assert (planned.kept, planned.removed, planned.freed) == (done.kept, done.removed, done.freed)
    assert ["1.crt", "2.crt"] == sorted(names(folder.iterdir()))


def test_nothing_goes_while_nothing_is_whole(folder: Path) -> None:
    for path in folder.iterdir():
        damage(path)
    done = store.prune(str(folder), 1)

    assert () == done.removed
    assert 4 == len(list(folder.iterdir()))


def test_what_is_no_store(tmp_path: Path) -> None:
    missing = crtool_says("ls", tmp_path / "none")
    empty = crtool_says("restart", tmp_path)

    assert (127, True) == (missing.returncode, "none: no such folder" in missing.stderr)
    assert (127, True) == (empty.returncode, "has no image (*.crt)" in empty.stderr)
    with pytest.raises(UsageError):
        store.prune(str(tmp_path), 0)
    with pytest.raises(NotFound):
        store.prune(str(tmp_path / "none"), 1)


def test_the_command_line(folder: Path) -> None:
    dry = crtool_says("prune", "-n", "--keep", "3", folder)
    done = crtool_says("prune", "--keep", "3", folder)

    assert (0, True) == (dry.returncode, "would remove" in dry.stdout)
    assert f"removed {folder}/0.crt\n" in done.stdout
    assert "3 images kept, 1 image removed" in done.stdout


def test_what_a_kept_image_builds_on_stays(folder: Path) -> None:
    """0 is whole; 1 builds on it; 2 is whole; 3 builds on 1 and so, directly, on both."""
    sleeper = subprocess.Popen(["sleep", "1000"], stdin=NULL, stdout=NULL, stderr=NULL)
    try:
        while Path(f"/proc/{sleeper.pid}/comm").read_text() != "sleep\n":
            pass
        for name, parent in (("0", None), ("1", "0"), ("2", None), ("3", "1")):
            path, before = folder / f"{name}.crt", None if parent is None else folder / f"{parent}.crt"
            crtool.checkpoint(sleeper.pid, path, force=True, parent=before)
            os.utime(path, (1_000_000_000 + 60 * int(name),) * 2)
    finally:
        sleeper.kill()
        sleeper.wait()
    listed = {image.path[-5:]: names(image.parents) for image in store.list_store(str(folder)).images}
    planned = crtool_says("prune", "-n", "--keep", "1", folder).stdout
    done = store.prune(str(folder), 1)

    assert ["0.crt"] == listed["1.crt"]
    assert f"{1 + len(listed['3.crt'])} images kept" in planned
    assert "0.crt" in listed["3.crt"]
    assert (["3.crt"], sorted(listed["3.crt"])) == (names(done.kept), sorted(names(done.needed)))
    assert "2.crt" in names(done.removed)
    assert "3.crt" == os.path.basename(store.newest_whole(str(folder), print))

    (folder / "0.crt").unlink()
    (lost,) = [image for image in store.list_store(str(folder)).images if image.path.endswith("3.crt")]
    assert "its parent" in str(lost.damaged)


def test_an_image_whose_parent_is_elsewhere_stays(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """0 builds on one that is in another folder at the moment, 1 on both; 2 is damaged; 3 is whole."""
    away = tmp_path_factory.mktemp("away")
    sleeper = subprocess.Popen(["sleep", "1000"], stdin=NULL, stdout=NULL, stderr=NULL)
    try:
        while Path(f"/proc/{sleeper.pid}/comm").read_text() != "sleep\n":
            pass
        crtool.checkpoint(sleeper.pid, away / "base.crt")
        for name, parent in (("0", away / "base.crt"), ("1", folder / "0.crt")):
            crtool.checkpoint(sleeper.pid, folder / f"{name}.crt", force=True, parent=parent)
            os.utime(folder / f"{name}.crt", (2_000_000_000 + 60 * int(name),) * 2)
    finally:
        sleeper.kill()
        sleeper.wait()
    damage(folder / "2.crt")
    os.utime(folder / "2.crt", (2_100_000_000,) * 2)
    (away / "base.crt").rename(away / "moved.crt")

    said = crtool_says("prune", "-n", "--keep", "1", folder).stdout
    done = store.prune(str(folder), 1)

    assert (["3.crt"], ["2.crt"], ["1.crt", "0.crt"]) == (names(done.kept), names(done.removed), names(done.partial))
    assert f"kept {folder}/1.crt, whose parent is not there" in said
    (away / "moved.crt").rename(away / "base.crt")
    assert "1.crt" == os.path.basename(store.newest_whole(str(folder), print))
