"""The harness of the specimens: what it must notice, and the folder that it puts back."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from .harness import warm
from .harness.catalogue import NotCompiled, Specimen, catalogue, describe
from .harness.folder import FolderState
from .harness.modes import plain
from .harness.processes import Deadline, descendants, end
from .harness.run import Broken, Run, Skipped

BEGINNING = "/* specimen: of the harness | group: tree | needs: nothing */\n#include <specimen.h>\nint main(void) {\n"


def judge(folder: Path, body: str) -> None:
    """Runs a specimen made of *body* in plain mode."""
    source = folder / "made_up.c"
    source.write_text(f"{BEGINNING}{body}\n}}\n")
    specimen = describe(source)
    run = Run(specimen, folder)
    try:
        run.await_ready()
        plain(run)
    finally:
        run.end()


READY = "specimen_ready(); specimen_wait();"


def test_passes(tmp_path: Path) -> None:
    judge(tmp_path, f"{READY} return specimen_pass();")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (f'{READY} specimen_fail("%d is wrong", 7);', "7 is wrong"),
        (f"{READY} specimen_equal(2 + 2, 5);", r"2 \+ 2 is 4"),
        (f"{READY} return 0;", "did not pass"),
        (f"{READY} specimen_pass(); return 3;", "ended with 3"),
        (f'{READY} if (fork() == 0) specimen_fail("a child\'s"); wait(0); return specimen_pass();', "a child's"),
        ("return 0;", "not ready"),
        ("specimen_ready(); return 0;", "ended before SIGTERM|did not pass"),
        ('specimen_ready(); printf("more\\n"); fflush(stdout); specimen_wait(); return 0;', "more"),
    ],
)
def test_notices(tmp_path: Path, body: str, words: str) -> None:
    """What a specimen must not do makes its test fail, and the report says why."""
    body = f"extern int wait(int *); {body}"
    with pytest.raises(Broken, match=words):
        judge(tmp_path, body)


def test_parents_end_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """In whatever order they are given: who sees its child die could say so."""
    before = descendants()
    parent = subprocess.Popen(["sh", "-c", "sleep 1000 & wait"])
    Deadline(30, "the child").wait_until(lambda: len(descendants() - before) == 2)
    (child,) = descendants() - before - {parent.pid}
    killed: list[int] = []
    kill = os.kill

    def note(pid: int, number: int) -> None:
        killed.append(pid)
        kill(pid, number)

    monkeypatch.setattr(os, "kill", note)
    end([child, parent.pid])
    parent.poll()

    assert [parent.pid, child] == killed
    assert before == descendants()


def test_a_zygote_that_has_died_is_replaced() -> None:
    end(warm.zygotes())
    warm.ready()
    (new,) = warm.zygotes()

    assert new in descendants()


def test_skips(tmp_path: Path) -> None:
    with pytest.raises(Skipped, match="no such thing"):
        judge(tmp_path, 'specimen_skip("no such thing");')


def test_shows_what_the_compiler_says(tmp_path: Path) -> None:
    with pytest.raises(NotCompiled, match="undeclared_name"):
        judge(tmp_path, "return undeclared_name;")


def test_first_line_is_read(tmp_path: Path) -> None:
    source = tmp_path / "x.c"
    source.write_text("/* specimen: one | two | group: files | needs: root, luck */\n")

    assert describe(source) == Specimen("x", "one | two", "files", ("root", "luck"), "", source)


@pytest.mark.parametrize("line", ["", "/* specimen: x | group: nonsense | needs: nothing */", "/* specimen: x */"])
def test_first_line_is_required(tmp_path: Path, line: str) -> None:
    source = tmp_path / "x.c"
    source.write_text(line)
    with pytest.raises(ValueError, match=r"x\.c"):
        describe(source)


def test_situations_differ() -> None:
    """Two specimens of one situation would be one line too many in the support matrix."""
    situations = [specimen.situation for specimen in catalogue()]

    assert sorted(set(situations)) == sorted(situations)


def test_folder_is_put_back(tmp_path: Path) -> None:
    """Files that were changed, removed, replaced or added; the ones that stayed keep their inodes."""
    (tmp_path / "changed").write_text("before")
    (tmp_path / "removed").write_text("gone")
    (tmp_path / "removed").chmod(0o604)
    os.link(tmp_path / "removed", tmp_path / "linked")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "link").symlink_to("nowhere")
    (tmp_path / "out").write_text("apart")
    kept = (tmp_path / "changed").stat()
    state = FolderState(tmp_path, apart={"out"})

    (tmp_path / "changed").write_text("after, and longer")
    (tmp_path / "removed").unlink()
    (tmp_path / "fifo").unlink()
    (tmp_path / "sub" / "link").unlink()
    (tmp_path / "sub").rmdir()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "file").write_text("new")
    (tmp_path / "out").write_text("apart, changed")
    state.restore()

    now = (tmp_path / "changed").stat()
    assert (tmp_path / "changed").read_text() == "before"
    assert (now.st_ino, now.st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)
    assert (tmp_path / "removed").read_text() == "gone"
    assert (tmp_path / "removed").stat().st_mode & 0o777 == 0o604
    assert (tmp_path / "removed").samefile(tmp_path / "linked")
    assert (tmp_path / "fifo").is_fifo()
    assert os.readlink(tmp_path / "sub" / "link") == "nowhere"
    assert not (tmp_path / "new").exists()
    assert (tmp_path / "out").read_text() == "apart, changed"
