"""Programs of other C libraries and languages: linked statically, musl, Rust, Go."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .midwork import PROGRAMS, Program, need, progress

Survives = Callable[[Program], None]

C_FLAGS = ("-O2", "-pthread", "-o", "program", str(PROGRAMS / "sieve.c"), "-lm")


def build(*command: str) -> Callable[[Path], object]:
    """Compiles in the folder of the run, to the file ``program``."""

    def prepare(folder: Path) -> None:
        environment = {"GOCACHE": str(folder / "cache"), "GO111MODULE": "off"}
        done = subprocess.run(
            ("env", *(f"{name}={value}" for name, value in environment.items()), *command),
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(f"{command[0]} cannot build here: {done.stderr[-300:]}")

    return prepare


@pytest.mark.parametrize(
    ("name", "command", "least"),
    [
        pytest.param("dynamic", ("gcc", *C_FLAGS), 50, marks=need("gcc"), id="dynamic"),
        pytest.param("static", ("gcc", "-static", *C_FLAGS), 50, marks=need("gcc"), id="static"),
        pytest.param("static-pie", ("gcc", "-static-pie", *C_FLAGS), 50, marks=need("gcc"), id="static-pie"),
        pytest.param("musl", ("musl-gcc", *C_FLAGS), 50, marks=need("musl-gcc"), id="musl"),
        pytest.param(
            "rust", ("rustc", "-O", "-o", "program", str(PROGRAMS / "workers.rs")), 200, marks=need("rustc"), id="rust"
        ),
        pytest.param(
            "go", ("go", "build", "-o", "program", str(PROGRAMS / "workers.go")), 100, marks=need("go"), id="go"
        ),
    ],
)
def test_threads(survives: Survives, name: str, command: tuple[str, ...], least: int) -> None:
    """Threads in mid-computation, with whatever else the language's run time keeps going."""
    survives(Program(name, ("./program",), prepare=build(*command), working=progress(least)))
