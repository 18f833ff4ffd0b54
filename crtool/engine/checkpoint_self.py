"""A program that saves itself, at a moment that it chooses.

No process can hold itself by ptrace, so a crtool that is none of its descendants does it. The two share nothing that
would be in the image: the helper leaves files in a folder, the last of them when it is done. Which side of the
checkpoint the program is on is told by its start time, which no restart gives back.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from shutil import rmtree
from typing import Literal

from crtool.errors import CrtoolError, InternalError, UsageError
from crtool.kernel.prctl import is_child_subreaper
from crtool.procfs import stat

__all__ = ["checkpoint_self"]

# The first shell ends at once, and whoever adopts orphans gets the second, which begins when the first is gone.
# The name of the last file stands for a file that is whole.
_HELPER = """
folder=$1; shift
(
    while kill -0 $$ 2>/dev/null; do sleep 0.01; done
    "$@" >/dev/null 2>"$folder/errors"
    echo $? >"$folder/writing" && mv "$folder/writing" "$folder/status"
) </dev/null >/dev/null 2>&1 &
"""
_SHORTEST, _LONGEST = 0.001, 0.05  # seconds between two looks
_WARNING = "crtool: warning:"


def checkpoint_self(
    output: str | os.PathLike[str], *, force: bool = False, leave: Literal["running", "killed"] = "running"
) -> Literal["saved", "restarted"]:
    """Writes the calling process and all its descendants to one file, *output*.

    Returns twice: "saved" in the process that goes on, "restarted" in each that is brought back from the image. With
    *leave* "killed" only the latter happens. An existing file is refused without *force*.

    Raises what checkpoint raises, as a CrtoolError with its exit status, and UsageError in a process that adopts
    orphans (PID 1, PR_SET_CHILD_SUBREAPER): whatever it starts is a descendant.
    """
    if os.getpid() == 1 or is_child_subreaper():
        remedy = "let another process call crtool checkpoint"
        raise UsageError("a process that adopts orphans cannot save itself", remedy)
    before = _birth()
    folder = Path(tempfile.mkdtemp(prefix="crtool-"))
    options = [f"--output={os.path.abspath(output)}", *(["--force"] if force else [])]
    command = [sys.executable, "-m", "crtool", "checkpoint", str(os.getpid()), *options]
    if leave == "killed":
        command.append("--kill")
    subprocess.run(["/bin/sh", "-c", _HELPER, "sh", folder, *command], check=True, env=_environment())
    pause = _SHORTEST
    while _birth() == before:
        if (folder / "status").exists():
            try:
                _require_success(folder)
            finally:
                rmtree(folder, ignore_errors=True)
            return "saved"
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST)
    return "restarted"


def _birth() -> tuple[int, str]:
    """When this process was born, and in which life of the machine."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    return stat.parse(Path("/proc/self/stat").read_bytes()).starttime, boot


def _environment() -> dict[str, str]:
    """One in which the helper finds the same crtool."""
    here = str(Path(__file__).parents[2])
    others = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{here}{os.pathsep}{others}" if others else here}


def _require_success(folder: Path) -> None:
    status = int((folder / "status").read_text(encoding="ascii"))
    lines = (folder / "errors").read_text(encoding="utf-8", errors="replace").splitlines()
    said = [line for line in lines if not line.startswith(_WARNING)]
    if status:
        cause = said[0].removeprefix("crtool: ") if said else f"the helper has ended with {status}"
        error = CrtoolError(cause, said[1].strip() if len(said) > 1 else None) if said else InternalError(cause)
        error.status = status
        raise error
