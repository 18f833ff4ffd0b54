"""The progress bar, on a real terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import sys

import pytest

from crtool.cli import views
from crtool.engine.results import Progress
from crtool.kernel.interruption import interrupt

from .engine import child

WORK = """
import time
def verify(image, progress, parents, deep, keys):
    for done in range(0, 101, 10):
        progress(crtool.Progress("verifying", done << 20, 100 << 20))
        time.sleep({pause})
    print("rich" in sys.modules)
    return crtool.VerifyResult(1, ())
crtool.verify = verify
"""


def on_terminal(pause: float, *options: str, **environment: str) -> tuple[str, str]:
    """Standard output, a file, and standard error, a terminal, of long work."""
    ours, theirs = pty.openpty()
    variables = {**os.environ, "TERM": "xterm", "COLUMNS": "100", **environment}
    process = child(WORK.format(pause=pause), "verify", "a.crt", *options, stderr=theirs, env=variables)
    os.close(theirs)
    seen = b""
    while True:
        ready, _, _ = select.select([ours], [], [], 30)
        assert ready, "hangs"
        try:
            piece = os.read(ours, 65536)
        except OSError:  # EIO: the other end is closed
            break
        if not piece:
            break
        seen += piece
    out, _ = process.communicate(timeout=30)
    os.close(ours)
    assert 0 == process.returncode
    return out, seen.decode()


def test_long_work_shows_bytes_and_time_left():
    _, seen = on_terminal(0.09)

    assert "verifying" in seen
    assert re.search(r"\d+/100 MiB|\d+\.0/100\.0 MiB", seen)
    assert re.search(r"0:00:0\d", seen)


def test_a_signal_in_the_middle_of_a_drawing_leaves_nothing_on_the_screen(monkeypatch):
    """Wherever it comes: the bar is wiped out with the last line that was drawn."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(views, "DELAY", 0.0)
    monkeypatch.setattr(views, "INTERVAL", 0.0)

    def interrupted(at: int) -> tuple[bool, str]:
        """Whether there was a line number *at*, and what came on the terminal."""
        ours, theirs = pty.openpty()
        left = at

        def trace(frame, event, _):
            nonlocal left
            if "rich" in frame.f_code.co_filename or frame.f_code.co_filename == views.__file__:
                left -= event == "line"
                if left == 0 and event == "line":
                    interrupt(KeyboardInterrupt())
            return trace

        with open(theirs, "w") as terminal, monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", terminal)
            try:
                with views.ProgressBar(enabled=True, preload=True) as bar:
                    sys.settrace(trace)
                    for done in range(3):
                        bar(Progress("verifying", done << 20, 100 << 20))
            except KeyboardInterrupt:
                pass
            finally:
                sys.settrace(None)
            terminal.write("end")
            terminal.flush()
            seen = ""
            while not seen.endswith("end"):
                seen += os.read(ours, 65536).decode()
        os.close(ours)
        return left <= 0, seen

    interrupted(1 << 30)  # imports what is needed
    at, drawn = 1, 0
    while True:
        was_there, seen = interrupted(at)
        drawn += "verifying" in seen
        assert "verifying" not in seen or "\x1b[2K" in seen.rpartition("verifying")[2]
        if not was_there:
            break
        at += 211
    assert drawn > 10


def test_the_bar_vanishes():
    _, seen = on_terminal(0.09)

    assert seen.endswith("\x1b[1A\x1b[2K") or seen.rstrip("\r\n").endswith("\x1b[2K")
    assert "\x1b[?25h" in seen  # the cursor is back


def test_short_work_shows_nothing_and_never_loads_rich():
    out, seen = on_terminal(0)

    assert "" == seen
    assert out.startswith("False\n")


@pytest.mark.parametrize(
    ("options", "environment"), [(("-q",), {}), ((), {"TERM": "dumb"}), ((), {"TERM": "dumb", "NO_COLOR": "1"})]
)
def test_no_bar(options, environment):
    assert "" == on_terminal(0.09, *options, **environment)[1]


def test_no_colour():
    _, seen = on_terminal(0.09, NO_COLOR="1")

    assert "verifying" in seen
    assert not re.search(r"\x1b\[[0-9;]*(3[0-9]|38;5;\d+)m", seen)


def test_no_terminal_no_bar():
    process = child(WORK.format(pause=0.06), "verify", "a.crt")
    out, err = process.communicate(timeout=30)

    assert "" == err
    assert out.startswith("False\n")


def test_a_stage_without_bytes_draws_nothing(monkeypatch):
    monkeypatch.setattr(views, "can_move", lambda: True)
    monkeypatch.setattr(views, "DELAY", 0)
    drawn = []
    monkeypatch.setattr(views.ProgressBar, "_draw", lambda self, progress: drawn.append(progress))

    with views.ProgressBar(enabled=True) as bar:
        bar(Progress("saving", 0, 0))
        bar(Progress("saving", 1, 2))
        bar(Progress("saving", 2, 2))

    assert [Progress("saving", 1, 2)] == drawn
