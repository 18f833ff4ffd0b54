"""What a machine lacks: known by name, asked beforehand, and named in the summary."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.machine import NEEDS, missing

REPOSITORY = Path(__file__).resolve().parents[2]
MADE_UP = """
import pytest
from tests.machine import NEEDS
NEEDS["a unicorn"] = lambda: False

@pytest.mark.machine({needs})
def test_ride():
    pytest.skip("which CI=true does not allow")
"""


def run(folder: Path, needs: str, *options: str) -> subprocess.CompletedProcess[str]:
    test = folder / "test_made_up.py"
    test.write_text(MADE_UP.format(needs=needs))
    words = ("-p", "tests.conftest", "-p", "no:cacheprovider", "-c", "pyproject.toml", "--rootdir", str(folder))
    command = [sys.executable, "-m", "pytest", *words, "--basetemp", str(folder / "of its own"), *options, str(test)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "workers"])
def test_what_is_not_possible_is_not_collected_and_named(options: tuple[str, ...], tmp_path: Path) -> None:
    done = run(tmp_path, "'x86-64', 'a unicorn'", *options)

    assert pytest.ExitCode.NO_TESTS_COLLECTED == done.returncode, done.stdout
    assert ["not run here: test_made_up.py::test_ride: a unicorn"] == [
        line for line in done.stdout.splitlines() if "not run here" in line
    ]


def test_a_need_that_nobody_can_find_out_is_an_error(tmp_path: Path) -> None:
    done = run(tmp_path, "'a dragon'")

    assert pytest.ExitCode.USAGE_ERROR == done.returncode
    assert "tests/machine.py does not say how to find out: a dragon" in done.stderr


def test_every_need_is_somebodys() -> None:
    folders = [REPOSITORY / "tests" / part for part in ("specimens", "unit", "live", "failures", "real")]
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in (".c", ".py")]
    text = "".join(path.read_text() for path in files)

    assert [] == [need for need in NEEDS if need not in text]


def test_what_fails_is_missing_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(1, "not for you")

    monkeypatch.setitem(NEEDS, "a made-up right", refuse)

    assert "a made-up right (not for you)" == missing("a made-up right")
