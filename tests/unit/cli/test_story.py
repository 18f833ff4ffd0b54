"""What -v tells."""

from __future__ import annotations

from crtool.cli.story import DONE
from crtool.engine.stages import Stage


def test_there_is_a_line_for_every_stage():
    assert [stage.value for stage in Stage] == list(DONE)
    assert len(DONE) == len(set(DONE.values()))
