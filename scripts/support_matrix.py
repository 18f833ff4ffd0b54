#!/usr/bin/env python3
"""Write docs/support-matrix.md from the first lines of the specimens, and the results of a test run.

    scripts/support_matrix.py [--results FILE] [--check]

*FILE* is what ``pytest tests/live/test_specimens.py --junitxml FILE`` writes. Without it the columns of the modes are
left out. ``--check`` writes nothing, and ends with 1 if the page does not name the specimens that there are; it does
not look at results, which belong to a machine and a day.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = REPOSITORY / "docs" / "support-matrix.md"
MODES = ("restart", "leave", "chain")
TITLES = {
    "tree": "The process tree",
    "ns": "Nested namespaces",
    "memory": "Memory",
    "cpu": "The CPU",
    "signals": "Signals, and calls that they interrupt",
    "time": "Time",
    "limits": "Limits, scheduling, identity",
    "files": "Open files",
    "events": "Waiting for events",
    "objects": "Objects of the kernel that are open",
    "terminals": "Terminals",
    "sockets": "Sockets",
    "tcp": "TCP sockets",
}
INTRODUCTION = """# Support matrix

<!-- Written by scripts/support_matrix.py from the first lines of tests/specimens/*.c: change those, not this page. -->

Every line is a *specimen*: a small C program in `tests/specimens/` that holds one thing of the kernel's in one
situation. It is checkpointed, and afterwards checks for itself that nothing has changed:

- **restart**: checkpoint with `--kill`, then restart;
- **leave**: two checkpoints that leave it running; the program itself is checked, and when it has ended, what comes
  back from the second image;
- **chain**: checkpoint and restart twice in a row.

Run one with `pytest tests/live/test_specimens.py -k NAME`.

"""
_CASE = re.compile(r"test_specimen\[(?P<name>\w+)-(?P<mode>\w+)\]")


def load_catalogue() -> ModuleType:
    """The module of the test harness that reads the specimens' first lines; tests/ is no installed package."""
    path = REPOSITORY / "tests" / "live" / "harness" / "catalogue.py"
    spec = importlib.util.spec_from_file_location("catalogue", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclass looks for the module of a class
    spec.loader.exec_module(module)
    return module


def read_results(path: Path) -> dict[tuple[str, str], str]:
    """(specimen, mode) → "yes", "no", or why it was skipped, from a JUnit XML file."""
    results = {}
    for case in ElementTree.parse(path).iter("testcase"):
        match = _CASE.fullmatch(case.get("name", ""))
        if not match:
            continue
        skipped = case.find("skipped")
        failed = case.find("failure") is not None or case.find("error") is not None
        if failed:
            result = "**no**"
        elif skipped is not None:
            result = f"({skipped.get('message', 'skipped')})"
        else:
            result = "yes"
        results[match["name"], match["mode"]] = result
    return results


def page(results: dict[tuple[str, str], str]) -> str:
    """The whole page, as Markdown."""
    catalogue = load_catalogue()
    specimens = catalogue.catalogue()
    parts = [INTRODUCTION, f"{len(specimens)} situations{summary(results)}.\n"]
    for group in catalogue.GROUPS:
        members = [specimen for specimen in specimens if specimen.group == group]
        parts.append(f"\n## {TITLES[group]}\n\n{table(members, results)}")
    return "".join(parts)


def summary(results: dict[tuple[str, str], str]) -> str:
    """Half a sentence of figures, empty without results."""
    known = [results[key] for key in results if key[1] in MODES]
    if not known:
        return ""
    passed, failed = known.count("yes"), known.count("**no**")
    impossible = len(known) - passed - failed
    return f"; of {len(known)} runs {passed} passed, {failed} failed, {impossible} were not possible there"


def table(members: Iterable[object], results: dict[tuple[str, str], str]) -> str:
    """One group: a row for each specimen, a column for each mode if there are results."""
    modes = MODES if results else ()
    lines = [["situation", "needs", "specimen", *modes]]
    for specimen in members:
        name = getattr(specimen, "name")  # noqa: B009  (the class lives in a module loaded by path)
        situation, needs = getattr(specimen, "situation"), getattr(specimen, "needs")  # noqa: B009
        cells = [situation, ", ".join(needs), f"`{name}`", *(results.get((name, mode), "") for mode in modes)]
        lines.append([escape(cell) for cell in cells])
    rows = ["| " + " | ".join(line) + " |\n" for line in lines]
    return rows[0] + "|" + "---|" * len(lines[0]) + "\n" + "".join(rows[1:])


def escape(cell: str) -> str:
    """A cell of a table, as Markdown that shows what it says."""
    return cell.replace("|", "\\|").replace(" __", " \\_\\_")


def named(text: str) -> set[str]:
    """The rows of a page, without results: the cells up to the specimen's name."""
    return {line[: line.index("` |")] for line in text.splitlines() if line.startswith("| ") and "` |" in line}


def main() -> int:
    parser = argparse.ArgumentParser(description="Write docs/support-matrix.md.")
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="JUnit XML of a run of tests/live/test_specimens.py"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if the page is out of date")
    options = parser.parse_args()
    text = page(read_results(options.results) if options.results else {})
    if options.check:
        return 0 if PAGE.exists() and named(PAGE.read_text(encoding="utf-8")) == named(text) else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
