"""crtool at work on a terminal: progress, Ctrl-C, narrow and dumb terminals, a job that moves between two of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import crtool

from .tmux import Tmux

pytestmark = [
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

_PROGRAM = "import os, time; room = os.urandom(8 << 20); print('ready', flush=True); time.sleep(1000)"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image of more than 8 MiB."""
    path = tmp_path_factory.mktemp("image") / "x.crt"
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    try:
        assert b"ready\n" == process.stdout.readline()
        crtool.checkpoint(process.pid, path, stdio="inherit")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    return path


@contextmanager
def _trickle(image: Path, folder: Path) -> Iterator[threading.Event]:
    """A pipe called "slow" in *folder*, through which *image* comes as by a slow line; at once if the event is set."""
    hurry = threading.Event()
    os.mkfifo(folder / "slow")

    def feed() -> None:
        data = image.read_bytes()
        try:
            with open(folder / "slow", "wb", buffering=0) as pipe:
                for at in range(0, len(data), 1 << 16):
                    pipe.write(data[at : at + (1 << 16)])
                    hurry.wait(0.02)
        except BrokenPipeError:
            pass  # crtool was interrupted

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield hurry
    finally:
        hurry.set()
        os.close(os.open(folder / "slow", os.O_RDONLY | os.O_NONBLOCK))  # nobody may have opened it
        thread.join()


def test_a_bar_shows_how_far_it_is_and_vanishes(image: Path, tmp_path: Path) -> None:
    with Tmux(tmp_path) as terminal, _trickle(image, tmp_path) as hurry:
        terminal.run("crtool verify - < slow")
        lines = terminal.wait_until(lambda lines: any(re.search(r"verifying.*B/s", line) for line in lines), "a rate")
        hurry.set()
        left = terminal.at_prompt()

    (bar,) = [line for line in lines if "verifying" in line]
    assert re.search(r"verifying .*━.* \d+\.\d/\d+\.\d MiB \S+ [kM]B/s \S+:\d\d", bar), bar
    assert 1 == len(left)
    assert re.fullmatch(r"-: whole and unchanged, \S+ MiB \(header, records, data, trailer\)", left[0])


def test_ctrl_c_leaves_a_line_and_no_bar(image: Path, tmp_path: Path) -> None:
    with Tmux(tmp_path) as terminal, _trickle(image, tmp_path):
        terminal.run("crtool verify - < slow")
        terminal.expect("verifying")
        terminal.press("C-c")
        left = terminal.at_prompt()
        terminal.run("echo $?")
        status = terminal.at_prompt()
        cursor = terminal.ask("#{cursor_flag}")

    assert ["crtool: interrupted by SIGINT"] == [line for line in left if line]  # bash adds an empty one
    assert ["130"] == status
    assert "1" == cursor


def test_a_bar_takes_one_line_of_a_narrow_terminal(image: Path, tmp_path: Path) -> None:
    with Tmux(tmp_path, columns=40) as terminal, _trickle(image, tmp_path) as hurry:
        terminal.run("crtool verify - < slow")
        lines = terminal.expect("verifying")
        time.sleep(0.3)
        later = terminal.screen()
        hurry.set()
        left = terminal.at_prompt()

    for screen in (lines, later):
        begin = next(at for at, line in enumerate(screen) if "verifying" in line)
        assert 1 == len(screen[begin:])
    assert "-: whole and unchanged" in left[0]


def test_help_on_a_narrow_terminal(tmp_path: Path) -> None:
    with Tmux(tmp_path, columns=40, lines=100) as terminal:
        terminal.run("crtool restart --help")
        lines = terminal.at_prompt()

    text = " ".join(" ".join(lines).split())
    assert "Take an image that others own or may write." in text
    assert all(line.startswith((" ", "Usage", "Options", "Examples")) or not line for line in lines), lines


@pytest.mark.parametrize("columns", [60, 80])
def test_tables_on_a_narrow_terminal(columns: int, image: Path, tmp_path: Path) -> None:
    """What has no room goes on below; the terminal breaks no line, and a pipe gets whole ones."""
    folder = tmp_path / "a-folder-with-a-name-that-is-rather-long"
    folder.mkdir()
    shutil.copy(image, folder / "and-an-image-with-such-a-name-20261127T120000.crt")
    with Tmux(tmp_path, columns=columns, lines=200) as terminal:
        for verb in ("ls a-*", "show a-*/*", "show --maps a-*/*"):
            terminal.run(f"clear; crtool {verb}")
            lines = terminal.at_prompt()
            assert not [line for line in lines if len(line) > columns]
            piped = ["sh", "-c", f"{sys.executable} -m crtool {verb}"]
            whole = subprocess.run(piped, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
            assert max(map(len, whole.splitlines())) > columns
            shown = "".join("".join(lines).split())
            assert "".join(whole.split()) in shown
            assert all(line.startswith((" ", "20")) for line in lines[1:4]) or not verb.startswith("ls"), lines


@pytest.mark.parametrize("how", ["TERM=dumb", "NO_COLOR=1"])
def test_what_a_terminal_cannot_do_is_not_asked_of_it(how: str, image: Path, tmp_path: Path) -> None:
    with Tmux(tmp_path) as terminal, _trickle(image, tmp_path) as hurry:
        terminal.run("bind 'set enable-bracketed-paste off'")
        terminal.at_prompt()
        terminal.record(tmp_path / "bytes")
        (tmp_path / "do").write_text(f"export {how}\ncrtool verify - < slow; crtool verify none\n")
        terminal.run(". ./do")
        if how == "TERM=dumb":
            time.sleep(1)  # in which a bar would have come
        else:
            terminal.expect("verifying")
        hurry.set()
        terminal.expect("crtool: none: no such image")
        terminal.at_prompt()
        seen = (tmp_path / "bytes").read_bytes()

    assert b"whole and unchanged" in seen
    assert (how == "TERM=dumb") == (b"\x1b" not in seen), seen
    assert not re.search(rb"\x1b\[[0-9;]*[34][0-9]", seen), seen  # a colour


_ASK = """#!/bin/sh
stty -echo </dev/tty
trap 'stty echo </dev/tty; exit 255' INT TERM
printf "you@there's password: " >/dev/tty
read password </dev/tty
"""


def test_ctrl_c_when_ssh_asks_for_a_password(tmp_path: Path) -> None:
    (tmp_path / "ask").write_text(_ASK)
    (tmp_path / "ask").chmod(0o755)
    with Tmux(tmp_path) as terminal:
        terminal.run("sleep 1000 & clear")
        terminal.at_prompt()
        terminal.run("crtool migrate --ssh ./ask $! there")
        terminal.expect("password:")
        terminal.press("C-c")
        terminal.at_prompt()
        terminal.run("kill -0 $! && echo it goes on")  # and it is seen when it is typed
        lines = terminal.at_prompt()
        typed = terminal.screen()

    assert ["it goes on"] == lines
    assert any("kill -0" in line for line in typed)


_JOB = """
trap 'echo caught; exit 7' INT
echo $$ >pid
echo at work
while read word; do echo "<$word>"; done
"""


def test_a_job_goes_from_one_terminal_to_another(tmp_path: Path) -> None:
    """No option is needed; Ctrl-C is for the program when it is back."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "job.sh").write_text(_JOB)
    with Tmux(tmp_path / "one") as one, Tmux(tmp_path / "other") as other:
        one.run("sh ../job.sh")
        one.expect("at work")
        one.run("here")
        one.expect("<here>")
        other.run("crtool checkpoint --kill $(cat ../one/pid) -o ../job.crt && crtool restart ../job.crt")
        one.expect("Killed")
        closing = other.expect("saved and killed")
        other.run("there")
        other.expect("<there>")
        other.press("C-c")
        other.at_prompt()
        other.run("echo $?")
        status = other.at_prompt()
        seen = other.screen()

    assert any("pages saved" in line for line in ["".join(closing)])
    assert "caught" in "".join(seen)
    assert ["7"] == status
