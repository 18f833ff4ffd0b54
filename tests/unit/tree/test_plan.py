"""Trees that everybody has: one test each, with the steps that matter spelled out."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from crtool.errors import CrtoolError, EnvironmentDiffers
from crtool.tree.model import CLONE_FILES, CLONE_NEWPID, CLONE_PARENT, CLONE_VM, Absent, Forest, Member, Unplannable
from crtool.tree.plan import (
    Born,
    Caller,
    Dies,
    JoinGroup,
    Kind,
    NewSession,
    Plan,
    Reaps,
    Subreaper,
    plan,
)

from .kernel_model import rebuilt, squashed


def _member(pid: int, ppid: int, pgid: int, sid: int, **more: object) -> Member:
    return replace(Member((pid,), ppid, pgid, sid), **more)  # type: ignore[arg-type]


def _planned(*members: Member, outside: frozenset[int] = frozenset()) -> Plan:
    """The plan for a tree whose root is the first, after a look whether it leads there."""
    forest = Forest(members[0].pid, members, outside)
    made = plan(forest)

    assert squashed(forest) == rebuilt(made, forest.root)
    return made


def _births(made: Plan) -> dict[int, Born]:
    return {step.pid: step for step in made.steps if isinstance(step, Born)}


def _extras(made: Plan) -> list[tuple[int, Kind]]:
    return [(pid, born.kind) for pid, born in _births(made).items() if born.kind is not Kind.REAL]


def test_one_process_in_the_session_of_a_shell() -> None:
    """It inherits crtool's session and group, and the user may be told."""
    made = _planned(_member(100, 1, 100, 50))

    assert (
        Born((100,), 0, 0, Kind.REAL, zombie=False, flags=0, exit_signal=17),
        JoinGroup(100, 100),
    ) == made.steps
    assert ["session 50 is not in the image: PID 100 gets that of crtool"] == [
        str(warning) for warning in made.warnings
    ]


def test_a_daemon_by_double_fork() -> None:
    """Its session's leader is dead: a ghost leads until the daemon is born, which comes to the root as an orphan."""
    made = _planned(_member(100, 1, 100, 100, subreaper=True), _member(102, 100, 101, 101))

    assert (
        Born((100,), 0, 0, Kind.REAL, False, 0, 17),
        NewSession(100),
        Born((101,), 100, 100, Kind.GHOST, False, 0, 0),
        NewSession(101),
        Born((102,), 101, 101, Kind.REAL, False, 0, 17),
        Subreaper(100, True),
        Dies(101),
        Reaps(100, 101),
    ) == made.steps


def test_a_pipeline_of_a_shell() -> None:
    """One group, made by its leader before the others join, and no session."""
    made = _planned(
        _member(100, 1, 100, 100),
        _member(101, 100, 101, 100),
        _member(102, 100, 101, 100),
        _member(103, 100, 101, 100),
    )

    assert [JoinGroup(101, 101), JoinGroup(102, 101), JoinGroup(103, 101)] == [
        step for step in made.steps if isinstance(step, JoinGroup)
    ]
    assert [] == _extras(made)


def test_a_pipeline_whose_first_command_is_gone() -> None:
    """The number of the group belongs to nobody alive."""
    made = _planned(_member(100, 1, 100, 100), _member(102, 100, 101, 100))

    assert [(101, Kind.GHOST)] == _extras(made)
    assert (JoinGroup(101, 101), JoinGroup(102, 101), Dies(101), Reaps(100, 101)) == made.steps[-4:]


def test_a_dead_leader_of_a_session_and_one_of_a_group_in_it() -> None:
    """The group's ghost is born in the other ghost's session."""
    made = _planned(_member(100, 1, 100, 100), _member(103, 100, 102, 101))

    assert [(101, Kind.GHOST), (102, Kind.GHOST)] == sorted(_extras(made))
    assert 101 == _births(made)[102].creator
    assert made.steps.index(NewSession(101)) < made.steps.index(JoinGroup(102, 102))


def test_a_child_that_called_setsid() -> None:
    made = _planned(_member(100, 1, 100, 50), _member(101, 100, 101, 101), _member(102, 101, 101, 101))

    assert made.steps.index(NewSession(101)) < made.steps.index(_births(made)[102])


def test_pitfall_07_a_child_from_before_setsid() -> None:
    """It is in the session that its parent was born in, so it must be born first."""
    made = _planned(_member(100, 1, 100, 100), _member(101, 100, 101, 101), _member(102, 101, 100, 100))

    assert made.steps.index(_births(made)[102]) < made.steps.index(NewSession(101))
    assert [] == _extras(made)


def test_a_child_of_the_root_from_before_setsid() -> None:
    """The same, with the session of the shell outside."""
    made = _planned(_member(100, 1, 100, 100), _member(101, 100, 60, 50), outside=frozenset({50, 60}))

    assert made.steps.index(_births(made)[101]) < made.steps.index(NewSession(100))
    assert [("session", 50, (101,)), ("group", 60, (101,))] == [(w.what, w.number, w.pids) for w in made.warnings]


def test_a_session_whose_leader_is_gone_is_rebuilt_if_it_may_be_of_the_tree() -> None:
    """Unlike above, nobody outside is known to have the number 50."""
    made = _planned(_member(100, 1, 100, 100), _member(101, 100, 60, 50))

    assert [(50, Kind.GHOST), (60, Kind.GHOST)] == sorted(_extras(made))
    assert () == made.warnings


def test_an_orphan_of_a_living_sessions_leader() -> None:
    """Leader and orphan have the same parent: CLONE_PARENT, and nobody has to die."""
    made = _planned(_member(100, 1, 100, 100, subreaper=True), _member(101, 100, 101, 101), _member(102, 100, 101, 101))

    assert Born((102,), 101, 100, Kind.REAL, False, CLONE_PARENT, 17) == _births(made)[102]
    assert _births(made)[102].sibling
    assert [] == _extras(made)


def test_an_orphan_of_a_session_further_down() -> None:
    """Its placeholder has an unused number and is gone in the end; the subreaper in between does not get the orphan."""
    made = _planned(
        _member(100, 1, 100, 100, subreaper=True),
        _member(101, 100, 101, 101, subreaper=True),
        _member(102, 101, 102, 102),
        _member(103, 100, 102, 102),
        _member(104, 101, 102, 102),
    )

    (placeholder,) = _extras(made)
    assert (301, Kind.PLACEHOLDER) == placeholder
    assert (102, 301) == (_births(made)[301].creator, _births(made)[103].creator)
    assert _births(made)[104].sibling
    assert (
        Subreaper(100, True),
        Dies(301),
        Reaps(102, 301),
        Subreaper(101, True),
    ) == made.steps[-4:]


def test_pitfall_09_an_orphan_whose_adopter_has_stepped_down() -> None:
    """The root is no subreaper any more, and is none in the end."""
    made = _planned(_member(100, 1, 100, 100), _member(102, 100, 101, 101))

    assert (Subreaper(100, True), Dies(101), Reaps(100, 101), Subreaper(100, False)) == made.steps[-4:]


def test_an_orphan_in_the_session_that_the_root_came_from() -> None:
    """Everybody in between has a session of his own, so the orphan can only be the root's early child."""
    made = _planned(
        _member(100, 1, 100, 100), _member(101, 100, 101, 101), _member(102, 101, 50, 50), outside=frozenset({50})
    )

    birth = _births(made)[102]
    sessions = [step for step in made.steps if isinstance(step, NewSession)]
    assert made.steps.index(birth) < made.steps.index(sessions[0])
    assert [NewSession(101), NewSession(100)] == sessions


def test_a_zombie_that_leads_a_session_and_a_group() -> None:
    """It is born like everybody, and is still there when the plan is done: its end is the engine's business."""
    made = _planned(
        _member(100, 1, 100, 100, subreaper=True),
        _member(101, 100, 101, 101, zombie=True),
        _member(102, 100, 101, 101),
        _member(103, 100, 103, 100, zombie=True),
        _member(104, 100, 103, 100),
    )

    assert {101, 103} == {pid for pid, born in _births(made).items() if born.zombie}
    assert not [step for step in made.steps if isinstance(step, Dies)]


def test_the_root_in_a_group_that_its_child_leads() -> None:
    made = _planned(_member(100, 1, 101, 50), _member(101, 100, 101, 50))

    assert (JoinGroup(101, 101), JoinGroup(100, 101)) == made.steps[-2:]


def test_a_leader_that_has_left_its_group() -> None:
    """It leaves last, or the group would end."""
    made = _planned(_member(100, 1, 100, 100), _member(101, 100, 100, 100), _member(102, 100, 101, 100))

    assert (JoinGroup(101, 101), JoinGroup(102, 101), JoinGroup(101, 100)) == made.steps[-3:]


def test_a_leader_that_has_gone_back_to_the_group_from_outside() -> None:
    made = _planned(_member(100, 1, 50, 50), _member(101, 100, 50, 50), _member(102, 100, 101, 50))

    assert JoinGroup(101, 0) == made.steps[-1]


def test_leaders_that_have_swapped_their_groups() -> None:
    """Whoever went first would end his group: somebody holds it."""
    made = _planned(_member(100, 1, 100, 100), _member(101, 100, 102, 100), _member(102, 100, 101, 100))

    assert [(301, Kind.PLACEHOLDER)] == _extras(made)
    assert [JoinGroup(301, 101), JoinGroup(101, 102), JoinGroup(102, 101)] == [
        step for step in made.steps if isinstance(step, JoinGroup) and step.pid != step.pgid
    ]


def test_numbers_that_look_like_a_swap_of_parents() -> None:
    """A parent with a higher number than its child, whose number is the parent's group."""
    _planned(_member(200, 1, 200, 200), _member(190, 200, 180, 200), _member(180, 190, 190, 200))


def test_whoever_shares_files_is_born_with_them() -> None:
    made = _planned(
        _member(100, 1, 100, 100),
        _member(101, 100, 100, 100, shares_files_with_parent=True, shares_memory_with_parent=True),
    )

    assert CLONE_FILES | CLONE_VM == _births(made)[101].flags


def test_ghosts_share_what_their_orphans_share() -> None:
    made = _planned(_member(100, 1, 100, 100), _member(102, 100, 101, 101, shares_files_with_parent=True))

    assert {101: CLONE_FILES, 102: CLONE_FILES} == {pid: _births(made)[pid].flags for pid in (101, 102)}


def test_sharing_past_a_session_leader_that_does_not_is_unplannable() -> None:
    with pytest.raises(Unplannable, match="PID 102 cannot be born again: it shares"):
        _planned(
            _member(100, 1, 100, 100),
            _member(101, 100, 101, 101),
            _member(102, 100, 101, 101, shares_files_with_parent=True),
        )


def test_an_exit_signal_that_adoption_would_change_is_unplannable() -> None:
    with pytest.raises(Unplannable, match="PID 102 cannot be born again: it would have to be adopted"):
        _planned(_member(100, 1, 100, 100), _member(101, 100, 101, 101), _member(102, 100, 101, 101, exit_signal=10))


def test_a_session_that_nobody_can_have_been_in_is_unplannable() -> None:
    """101 never led a session, so its child can be in that of 103 only if that came from below it."""
    with pytest.raises(Unplannable) as caught:
        _planned(
            _member(103, 1, 103, 103),
            _member(100, 103, 100, 100),
            _member(101, 100, 100, 100),
            _member(102, 101, 103, 103),
        )

    assert isinstance(caught.value, CrtoolError)
    assert 126 == caught.value.status


def test_a_container() -> None:
    """The first process of a PID namespace is born with CLONE_NEWPID; the others follow it in."""
    forest = Forest(
        100,
        (
            Member((100,), 1, 100, 100),
            Member((101, 1), 100, 101, 101, namespace=101),
            Member((102, 2), 101, 101, 101, namespace=101),
            Member((103, 3, 1), 102, 103, 103, namespace=103),
            Member((104, 9), 101, 101, 101, namespace=101),
        ),
    )
    births = _births(plan(forest))

    assert [101, 103] == [pid for pid, born in births.items() if born.new_pid_namespace]
    assert CLONE_NEWPID == births[103].flags
    assert [(101, 1), (104, 9)] == [births[pid].pids for pid in (101, 104)]


def test_a_container_whose_init_is_the_root() -> None:
    """Its orphans come to it: it is asked to be a subreaper for a while, which is no harm to an init."""
    forest = Forest(
        100,
        (
            Member((100, 1), 1, 0, 0, namespace=100),
            Member((101, 7), 100, 101, 101, namespace=100),
            Member((102, 8), 101, 102, 102, namespace=100),
            Member((103, 9), 100, 102, 102, namespace=100),
        ),
    )
    made = plan(forest)

    (placeholder,) = [born for born in _births(made).values() if born.kind is Kind.PLACEHOLDER]
    assert (301, 301) == placeholder.pids
    assert [Subreaper(100, True), Subreaper(100, False)] == [step for step in made.steps if isinstance(step, Subreaper)]
    assert [Reaps(102, 301, 301)] == [step for step in made.steps if isinstance(step, Reaps)]


def test_no_sibling_is_asked_of_an_init() -> None:
    members = (
        Member((100,), 1, 100, 100),
        Member((101, 1), 100, 101, 101, namespace=101),
        Member((102,), 100, 101, 101),
    )

    with pytest.raises(Unplannable, match="in another PID namespace"):
        plan(Forest(100, members))


def test_who_entered_a_namespace_later_is_born_after_its_first_process() -> None:
    """Whatever the order in which the members are listed; the parent enters it for the birth."""
    members = (
        Member((100,), 1, 100, 100),
        Member((101, 5), 100, 100, 100, namespace=102),
        Member((103,), 100, 100, 100),
        Member((102, 1), 103, 100, 100, namespace=102),
    )
    births = _births(plan(Forest(100, members)))

    assert [100, 103, 102, 101] == list(births)
    assert {100: 0, 103: 0, 102: 0, 101: 102} == {pid: born.enters for pid, born in births.items()}


def test_who_entered_two_levels_deeper() -> None:
    """The first process of the namespace has another number where its new member's parent lives."""
    members = (
        Member((100, 1), 1, 0, 0, namespace=100),
        Member((101, 7, 1), 100, 0, 0, namespace=101),
        Member((102, 8, 2, 1), 101, 0, 0, namespace=102),
        Member((103, 9, 3, 2), 100, 0, 0, namespace=102),
    )
    births = _births(plan(Forest(100, members)))

    assert 8 == births[103].enters


def test_a_namespace_is_made_right_in_that_of_the_parent() -> None:
    with pytest.raises(Unplannable, match="right inside"):
        plan(Forest(100, (Member((100,), 1, 100, 100), Member((102, 1, 1), 100, 100, 100, namespace=102))))


def test_a_dead_leader_in_a_nested_namespace() -> None:
    """Its inner number comes from those who remember it."""
    members = (Member((100, 1), 1, 0, 0, namespace=100), Member((102, 3), 100, 101, 101, namespace=100))
    births = _births(plan(Forest(100, members, absent=(Absent((101, 2), 100),))))

    assert (101, 2) == births[101].pids
    assert Kind.GHOST is births[101].kind


def test_a_dead_leader_of_whom_the_inner_number_is_not_known() -> None:
    """Named is who is there, not who is dead."""
    with pytest.raises(Unplannable, match=r"^PID 102 cannot .*: it needs PID 101, which has ended, .* in another"):
        plan(Forest(100, (Member((100, 1), 1, 0, 0, namespace=100), Member((102, 3), 100, 101, 101, namespace=100))))


def test_a_group_that_cannot_be_seen_is_inherited() -> None:
    """A job of a shell outside: who is in the container was born in its group, and cannot join it."""
    members = (
        Member((100,), 1, 100, 100),
        Member((101,), 100, 101, 100),
        Member((102, 1), 101, 101, 100, namespace=102),
        Member((103, 2), 102, 101, 100, namespace=102),
        Member((104, 3), 102, 104, 100, namespace=102),
    )
    made = plan(Forest(100, members))

    steps = [step for step in made.steps if isinstance(step, JoinGroup)]
    assert [
        JoinGroup(101, 101),
        JoinGroup(102, 101, Caller(101, 102, 101)),
        JoinGroup(104, 104, Caller(104, 0, 3)),
    ] == steps
    assert made.steps.index(steps[1]) < next(
        place for place, step in enumerate(made.steps) if isinstance(step, Born) and step.pid == 103
    )


def test_pitfall_16_placeholders_get_numbers_that_nobody_bears() -> None:
    """Above everything in the image, threads included, and not those that are taken here."""
    swapped = (
        _member(100, 1, 100, 100, threads=(900,)),
        _member(101, 100, 102, 100),
        _member(102, 100, 101, 100),
    )
    forest = Forest(100, swapped)

    assert [(903, Kind.PLACEHOLDER)] == _extras(plan(forest, taken={901, 902, 904}))
    assert [(899, Kind.PLACEHOLDER)] == _extras(plan(forest, pid_max=901))
    with pytest.raises(EnvironmentDiffers, match="no PID below 901 is free"):
        plan(forest, taken=range(1000), pid_max=901)


def _wide(count: int) -> list[Member]:
    return [_member(1000, 1, 1000, 1000)] + [_member(1000 + n, 1000, 1000 + n, 1000 + n) for n in range(1, count)]


def _deep(count: int) -> list[Member]:
    return [_member(1000 + n, 999 + n, 1000 + n, 1000 + n) for n in range(count)]


def _orphans(count: int) -> list[Member]:
    """Of sessions whose leaders are dead, in groups whose leaders are dead."""
    return [_member(1000, 1, 1000, 1000)] + [
        _member(1000 + n, 1000, 10_000 + n // 3, 5000 + n // 9) for n in range(1, count)
    ]


def _early_children(count: int) -> list[Member]:
    """Of leaders which all have a child in one session whose leader is dead."""
    leaders = [_member(1000 + n, 1000, 1000 + n, 1000 + n) for n in range(1, count // 2)]
    return [_member(1000, 1, 1000, 1000), *leaders] + [
        _member(3000 + leader.pid, leader.pid, 900, 900) for leader in leaders
    ]


def _early_chain(count: int) -> list[Member]:
    """The same, one below the other."""
    leaders = [_member(1000 + n, 999 + n, 1000 + n, 1000 + n) for n in range(count // 2)]
    return leaders + [_member(3000 + leader.pid, leader.pid, 900, 900) for leader in leaders]


@pytest.mark.parametrize("shape", [_wide, _deep, _orphans, _early_children, _early_chain])
def test_a_thousand_members_take_no_time(shape: object) -> None:
    """Less than a tenth of a second of CPU time in the best of five runs; 10 ms are usual."""
    members = shape(1000)  # type: ignore[operator]
    forest = Forest(1000, tuple(members))
    durations = []
    for _ in range(5):
        start = time.thread_time()
        made = plan(forest)
        durations.append(time.thread_time() - start)

    assert squashed(forest) == rebuilt(made, 1000)
    assert 0.1 > min(durations)
