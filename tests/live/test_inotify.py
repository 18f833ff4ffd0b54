"""What inotify had to tell and nobody has read: the kernel lets nobody put that back, so it is said."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from crtool.kernel import inotify

from .harness.command import crtool
from .harness.processes import end, holding

_IN_CREATE = 0x100


def test_what_nobody_has_read_is_lost_after_a_restart_alone(tmp_path: Path) -> None:
    watched = tmp_path / "watched"
    watched.mkdir()
    image, pidfile = tmp_path / "image", tmp_path / "pid"
    fd = inotify.create(os.O_NONBLOCK)
    inotify.add_watch(fd, os.fsencode(watched), _IN_CREATE)
    (watched / "new").touch()
    with holding(fd) as pid:
        os.close(fd)
        done = crtool("checkpoint", str(pid), "-o", str(image), "--stdio", "inherit", "--json")
        assert done.returncode == 0, done.stderr
        lost = f"PID {pid} fd {fd}: what inotify had to tell and nobody has read (32 bytes) is lost"
        assert lost in json.loads(done.stdout)["warnings"]
        done = crtool("checkpoint", str(pid), "-f", "-o", str(image), "--stdio", "inherit")
        assert lost in done.stderr, "the target has it still"
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        try:
            done = crtool("restart", "--detach", "--pidfile", str(pidfile), str(image))
            assert done.returncode == 0, done.stderr
            done = crtool("check", str(pid), "--stdio", "inherit")
            assert lost not in done.stdout + done.stderr
            (watched / "another").touch()
            done = crtool("checkpoint", str(pid), "-f", "-o", str(image), "--stdio", "inherit")
            assert lost in done.stderr, "it is watched still"
        finally:
            end([pid])
