"""Death by the same signal as another."""

from __future__ import annotations

import os
import signal

import pytest

from crtool.cli.ending import end_like

from .engine import child


def test_an_exit_status_is_returned():
    assert 7 == end_like(7 << 8)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGPIPE, signal.SIGALRM])
def test_even_a_blocked_and_ignored_signal_kills(number):
    code = f"""
import signal
from crtool.cli.ending import end_by_signal
if {int(number)} != signal.SIGKILL:
    signal.signal({int(number)}, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [{int(number)}])
print("flushed", end="")
end_by_signal({int(number)})
"""
    process = child(code)
    out, _ = process.communicate(timeout=30)

    assert -number == process.returncode
    assert "flushed" == out


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a PID namespace")
def test_the_first_process_of_a_namespace_which_no_signal_kills_ends_with_the_status():
    code = "from crtool.cli.ending import end_by_signal\nend_by_signal(15)"
    process = child("import os\nos.execvp('unshare', sys.argv[1:])", *unshared(code))
    process.communicate(timeout=30)

    assert 128 + 15 == process.returncode


def unshared(code: str) -> list[str]:
    """A command line that runs *code* as PID 1 of a namespace."""
    import sys

    return ["unshare", "--pid", "--fork", sys.executable, "-c", code]
