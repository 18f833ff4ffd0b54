"""Any forest with nested PID namespaces that the kernel lets come about is planned and comes out the same.

Or it is refused by name: groups and namespaces that only a longer story could lead to, see crtool/tree/plan_nested.py.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from crtool.tree.model import Forest, Unplannable
from crtool.tree.plan import Born, Dies, JoinGroup, Kind, NewSession, Plan, plan

from .histories import NESTED_CALLS, Call, nested_history
from .kernel_model import squashed
from .nested_model import rebuilt

_call = st.tuples(st.sampled_from(NESTED_CALLS), st.integers(0, 30), st.integers(0, 30))
_calls = st.one_of(st.lists(_call, max_size=15), st.lists(_call, min_size=30, max_size=90))
_EXAMPLES = 3000 if os.environ.get("CRTOOL_LONG") else 80
_settings = settings(deadline=None, max_examples=_EXAMPLES, suppress_health_check=[HealthCheck.too_slow])


def _comes_out_the_same(forest: Forest) -> Plan:
    made = plan(forest)

    expected = squashed(forest)
    assert expected.members == rebuilt(made, forest.root).members

    vectors = [step.pids for step in made.steps if isinstance(step, Born)]
    assert len(vectors) == len(set(vectors)), "a number twice"
    _births_come_before_uses(made.steps)
    return made


def _what_is_in(made: Plan) -> Iterator[str]:
    for step in made.steps:
        if isinstance(step, Born) and len(step.pids) > 1 and step.kind is not Kind.REAL:
            yield f"a {step.kind.value} in a namespace"
        elif isinstance(step, Born) and step.enters:
            yield "somebody enters a namespace for a birth"
        elif isinstance(step, JoinGroup) and step.by is not None and step.by.pid != step.pid:
            yield "somebody is put into a group by its parent"


def _births_come_before_uses(steps: tuple[object, ...]) -> None:
    alive = {0}
    for step in steps:
        if isinstance(step, Born):
            assert {step.creator, step.parent} <= alive
            alive.add(step.pid)
        elif isinstance(step, NewSession | JoinGroup):
            assert step.pid in alive
        elif isinstance(step, Dies):
            alive.remove(step.pid)


def _or_is_refused(forest: Forest) -> None:
    levels = max(len(member.pids) for member in forest.members)
    event(f"{levels} levels")
    try:
        for what in set(_what_is_in(_comes_out_the_same(forest))):
            event(what)
    except Unplannable as error:
        assert error.pid in {member.pid for member in forest.members}
        assert "cannot be born again" in str(error)
        event("refused")


@_settings
@given(_calls, st.booleans())
def test_any_history(calls: list[Call], first: bool) -> None:
    """Namespaces made by clone, unshare and setns; their first processes are in it, and may be the root."""
    _or_is_refused(nested_history(calls, first=first))


@_settings
@given(_calls, st.booleans())
def test_at_least_four_levels(calls: list[Call], first: bool) -> None:
    """A container in a container in a container: everything happens at any depth."""
    forest = nested_history(calls, first=first, depth=4)

    _or_is_refused(forest)


@pytest.mark.parametrize("depth", [0, 4])
def test_nearly_all_are_planned(depth: int) -> None:
    """Of ordinary histories, which are the same ones in each run, so that "refused" does not become the rule."""
    refused = deep = 0
    for seed in range(200):
        draw = random.Random(seed)
        calls = [(draw.choice(NESTED_CALLS), draw.randrange(31), draw.randrange(31)) for _ in range(10 + seed % 60)]
        forest = nested_history(calls, first=bool(seed % 2), depth=depth)
        deep += max(len(member.pids) for member in forest.members) > 4
        try:
            _comes_out_the_same(forest)
        except Unplannable:
            refused += 1

    assert refused <= 10
    assert deep >= (150 if depth else 1)
