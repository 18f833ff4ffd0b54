"""Any forest that the kernel lets come about is planned and comes out the same."""

from __future__ import annotations

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from crtool.tree.model import CLONE_FILES, CLONE_FS, CLONE_VM, SIGCHLD, Forest
from crtool.tree.plan import Born, Kind, plan

from .histories import CALLS, Call, history
from .kernel_model import rebuilt, squashed


def _calls(*more: str) -> st.SearchStrategy[list[Call]]:
    call = st.tuples(st.sampled_from(CALLS + more), st.integers(0, 30), st.integers(0, 30))
    # Short ones are easily understood, but only long ones get into interesting trouble.
    return st.one_of(st.lists(call, max_size=15), st.lists(call, min_size=40, max_size=120))


def _comes_out_the_same(forest: Forest) -> None:
    made = plan(forest)

    assert squashed(forest) == rebuilt(made, forest.root)

    born = [step for step in made.steps if isinstance(step, Born)]
    for kind in (Kind.GHOST, Kind.PLACEHOLDER):
        if any(step.kind is kind for step in born):
            event(f"with a {kind.value}")
    if any(step.sibling for step in born):
        event("with a sibling")


_settings = settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])


@_settings
@given(_calls())
def test_with_a_reaper_at_the_root(calls: list[Call]) -> None:
    """Nobody leaves the tree."""
    _comes_out_the_same(history([("subreaper", 0, 0), *calls]))


@_settings
@given(_calls())
def test_where_orphans_leave_the_tree(calls: list[Call]) -> None:
    """They may be leaders of what others are in."""
    _comes_out_the_same(history(calls))


@_settings
@given(_calls("stepdown", "stepdown", "subreaper"))
def test_with_subreapers_that_stepped_down(calls: list[Call]) -> None:
    """Then an ancestor need not be able to adopt any more."""
    _comes_out_the_same(history([("subreaper", 0, 0), *calls]))


@_settings
@given(_calls("sibling"))
def test_with_exit_signals(calls: list[Call]) -> None:
    """The exit signal survives neither adoption nor CLONE_PARENT."""
    _comes_out_the_same(history(calls, signals=(SIGCHLD, 0)))


@_settings
@given(_calls())
def test_with_shared_memory_and_files(calls: list[Call]) -> None:
    """Sharing goes through everybody between the two."""
    flags = (0, 0, CLONE_FILES, CLONE_FS, CLONE_FILES | CLONE_FS, CLONE_FILES | CLONE_FS | CLONE_VM)
    _comes_out_the_same(history([("subreaper", 0, 0), *calls], flags=flags))
