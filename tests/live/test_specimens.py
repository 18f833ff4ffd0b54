"""Every specimen in every mode: the support matrix, proved (``scripts/support_matrix.py`` writes it down)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .harness.catalogue import NotCompiled, Specimen, catalogue
from .harness.modes import MODES, refused
from .harness.run import Broken, Run, Skipped


def marks(specimen: Specimen, mode: str) -> list[pytest.MarkDecorator]:
    """The mode, for ``-m``; and what the specimen needs of the machine."""
    return [getattr(pytest.mark, mode), pytest.mark.machine(*specimen.of_machine, name=specimen.name)]


def is_tried_elsewhere(specimen: Specimen) -> bool:
    """Ping sockets, where they are allowed to nobody: test_ping tries them in a network that allows them."""
    if specimen.name != "raw_ping" or os.geteuid() != 0:
        return False
    first, last = map(int, Path("/proc/sys/net/ipv4/ping_group_range").read_text().split())
    return not first <= os.getegid() <= last


CASES = [
    pytest.param(specimen, mode, id=f"{specimen.name}-{mode}", marks=marks(specimen, mode))
    for specimen in catalogue()
    if not is_tried_elsewhere(specimen)
    for mode in MODES
]


@pytest.mark.parametrize(("specimen", "mode"), CASES)
def test_specimen(specimen: Specimen, mode: str, tmp_path: Path) -> None:
    """A specimen that finds itself unchanged after what *mode* did to it."""
    if "root" in specimen.needs and os.geteuid() != 0:
        pytest.skip("needs root")
    reason = None
    skip = False
    run = None
    try:
        run = Run(specimen, tmp_path)
        run.await_ready()
        story = refused if ("vfork" in specimen.needs or specimen.refusal) and mode != "plain" else MODES[mode]
        story(run)
    except Skipped as skipped:
        reason, skip = str(skipped), True
    except (Broken, NotCompiled) as broken:
        reason = str(broken)
    finally:
        if run is not None:
            run.end()
    if reason is not None:
        # Outside the except, so that the report does not show the same text as the cause of itself.
        pytest.skip(reason) if skip else pytest.fail(reason, pytrace=False)
