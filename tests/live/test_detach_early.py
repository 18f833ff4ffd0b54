"""A target that is let go before it has come to rest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from crtool.kernel import ptrace
from crtool.puppet.detach import detach_early

from .harness.processes import Deadline

PROGRAM = "import signal, sys, time; signal.signal(15, lambda *a: sys.exit(7)); print('ready', flush=True)"
PROGRAM += "; time.sleep(60)"


def test_a_signal_that_nobody_has_looked_at_is_delivered() -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert b"ready\n" == process.stdout.readline()
        ptrace.seize(process.pid, 0)
        os.kill(process.pid, signal.SIGTERM)
        stat = Path(f"/proc/{process.pid}/stat")
        Deadline(20, "the stop").wait_until(lambda: stat.read_text().rpartition(") ")[2][0] == "t")
        detach_early([process.pid])
        assert 7 == process.wait(20)
    finally:
        process.kill()
        process.wait()
