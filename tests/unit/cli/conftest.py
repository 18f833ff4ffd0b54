"""``engine``: the API that the command line stands on, replaced; ``run``: a command line, in this process."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

import crtool
from crtool.cli.main import main

from .engine import RESULTS, Engine


@dataclass(frozen=True)
class Ending:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The fake engine, in place of the real one."""
    fake = Engine()
    for name in RESULTS:
        monkeypatch.setitem(vars(crtool), name, fake.verb(name))
    return fake


@pytest.fixture
def run(
    engine: Engine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Ending]]:
    """``run("check", "4711")``: the command line ``crtool check 4711``, on the fake engine."""
    monkeypatch.delenv("CRTOOL_DEBUG", raising=False)
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    folder = os.getcwd()  # which an option may change

    def command(*args: str) -> Ending:
        capsys.readouterr()
        status = main(args)
        captured = capsys.readouterr()
        return Ending(status, captured.out, captured.err)

    yield command
    os.chdir(folder)
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
