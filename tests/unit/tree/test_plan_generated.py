"""Any forest that the kernel lets come about is planned and comes out the same."""

from __future__ import annotations

import errno

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from crtool.tree.model import CLONE_FILES, CLONE_FS, CLONE_PARENT, CLONE_VM, SIGCHLD, Forest
from crtool.tree.plan import Born, Kind, plan

from .kernel_model import STARTER, Kernel, Refused, rebuilt, squashed

_Call = tuple[str, int, int]  # what, by whom, an argument; the latter two count through the tree

_CALLS = (
    *("fork", "fork", "fork", "setsid", "setsid", "setpgid", "group"),
    *("exit", "exit", "wait", "wait", "subreaper", "sibling", "daemon"),
)


def _history(calls: list[_Call], flags: tuple[int, ...] = (0,), signals: tuple[int, ...] = (SIGCHLD,)) -> Forest:
    """Lets processes of one tree make *calls*, (call, who, argument), as far as the kernel lets them."""
    kernel = Kernel(pid_max=40)
    root = kernel.clone(STARTER)
    for call, who, argument in calls:
        tree = kernel.below(root)
        living = [process for process in tree if not process.zombie]
        own = living[who % len(living)]
        other = tree[argument % len(tree)]
        try:
            if call == "fork":
                kernel.clone(own.pid, 0, flags[argument % len(flags)], signals[argument % len(signals)])
            elif call == "sibling" and own.pid != root:
                kernel.clone(own.pid, 0, CLONE_PARENT | flags[argument % len(flags)])
            elif call == "setsid":
                kernel.setsid(own.pid)
            elif call == "setpgid":
                kernel.setpgid(own.pid, own.pid, other.pgid)
            elif call == "group":
                children = kernel.children(own.pid)
                child = children[argument % len(children)].pid if children else own.pid
                kernel.setpgid(own.pid, child, child)
            elif call == "exit" and own.pid != root:
                kernel.exit(own.pid)
            elif call == "wait":
                dead = [process for process in tree if process.zombie] or [other]
                kernel.wait(dead[argument % len(dead)].parent, dead[argument % len(dead)].pid)
            elif call == "daemon" and own.pid != root:
                # What daemon(3) and its imitators do: nobody of this history is left but the grandchild.
                kernel.setsid(own.pid)
                kernel.clone(own.pid)
                parent = own.parent
                kernel.exit(own.pid)
                kernel.wait(parent, own.pid)
            elif call == "subreaper":
                kernel.set_subreaper(own.pid, True)
            elif call == "stepdown":
                kernel.set_subreaper(own.pid, False)
        except Refused as refusal:
            assert refusal.errno in (errno.EPERM, errno.ECHILD, errno.EAGAIN, errno.ESRCH)
    return kernel.photograph(root)


def _calls(*more: str) -> st.SearchStrategy[list[_Call]]:
    call = st.tuples(st.sampled_from(_CALLS + more), st.integers(0, 30), st.integers(0, 30))
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
def test_with_a_reaper_at_the_root(calls: list[_Call]) -> None:
    """Nobody leaves the tree."""
    _comes_out_the_same(_history([("subreaper", 0, 0), *calls]))


@_settings
@given(_calls())
def test_where_orphans_leave_the_tree(calls: list[_Call]) -> None:
    """They may be leaders of what others are in."""
    _comes_out_the_same(_history(calls))


@_settings
@given(_calls("stepdown", "stepdown", "subreaper"))
def test_with_subreapers_that_stepped_down(calls: list[_Call]) -> None:
    """Then an ancestor need not be able to adopt any more."""
    _comes_out_the_same(_history([("subreaper", 0, 0), *calls]))


@_settings
@given(_calls("sibling"))
def test_with_exit_signals(calls: list[_Call]) -> None:
    """The exit signal survives neither adoption nor CLONE_PARENT."""
    _comes_out_the_same(_history(calls, signals=(SIGCHLD, 0)))


@_settings
@given(_calls())
def test_with_shared_memory_and_files(calls: list[_Call]) -> None:
    """Sharing goes through everybody between the two."""
    flags = (0, 0, CLONE_FILES, CLONE_FS, CLONE_FILES | CLONE_FS, CLONE_FILES | CLONE_FS | CLONE_VM)
    _comes_out_the_same(_history([("subreaper", 0, 0), *calls], flags=flags))
