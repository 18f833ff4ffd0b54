"""One verb of crtool from beginning to end, with its status and what it has said."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from . import warm

__all__ = ["REPOSITORY", "cold", "crtool"]

REPOSITORY = Path(__file__).resolve().parents[3]
PATIENCE = 100.0
"""Seconds: a loaded machine is slow."""


def crtool(*arguments: object, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """By a fork of the warm one, in a session of its own, with nothing to read."""
    words = [*map(str, arguments)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        command = warm.start(words, os.environ if environment is None else environment, out.fileno(), errors.fileno())
        try:
            status = command.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            command.kill()
            command.wait()
            raise
        return subprocess.CompletedProcess(words, status, _written(out), _written(errors))


def _written(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def cold(*arguments: object) -> subprocess.CompletedProcess[str]:
    """By an execution, below the caller: in his namespaces, and in his session."""
    command = [sys.executable, "-m", "crtool", *map(str, arguments)]
    return subprocess.run(
        command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
