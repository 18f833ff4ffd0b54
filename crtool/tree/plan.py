"""The way to a forest: births, sessions, groups, deaths, in an order that the kernel accepts.

Pure: a table in, steps out. What the steps are and what must be left for later stands in
:mod:`crtool.tree.plan_steps`; how the order is found, in ``plan_sessions`` (who was born in which session),
``plan_births`` (who bears whom) and ``plan_groups``. This module puts the three acts together.

Where a leader of a session or group is dead, a ghost with its number is born, leads until all have joined, and dies.
Where a parent cannot bear a child because it was never in the child's session, the child is born below one who
was, by a placeholder that dies, and comes to its parent as an orphan does.

What nested PID namespaces ask for, ``plan_nested`` adds. That a number is free on this machine is for the caller to
find out.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from itertools import chain, islice

from crtool.errors import EnvironmentDiffers
from crtool.tree.forest import OUTSIDE, Table
from crtool.tree.model import Forest, Unplannable
from crtool.tree.plan_births import Birth, plan_births
from crtool.tree.plan_groups import Groups, plan_groups
from crtool.tree.plan_nested import arrange
from crtool.tree.plan_sessions import possible_sessions
from crtool.tree.plan_steps import (
    Born,
    Caller,
    Dies,
    JoinGroup,
    Kind,
    NewSession,
    Plan,
    Reaps,
    Squashed,
    Step,
    Subreaper,
)

__all__ = [
    "Born",
    "Caller",
    "Dies",
    "JoinGroup",
    "Kind",
    "NewSession",
    "Plan",
    "Reaps",
    "Squashed",
    "Step",
    "Subreaper",
    "plan",
]

_PID_MAX = 1 << 22  # PID_MAX_LIMIT of include/linux/threads.h, 64-bit
_RESERVED = 300  # RESERVED_PIDS of kernel/pid.c: numbers up to here are for daemons of the boot
_TRIES = 500  # answers of possible_sessions; a tree of real programs needs one


def plan(forest: Forest, taken: Container[int] = (), pid_max: int = _PID_MAX, start: int = 0) -> Plan:
    """The steps that bring *forest* back.

    *taken* are numbers that placeholders must not have because somebody on this machine has them, *pid_max* is
    that of ``/proc/sys/kernel/pid_max``; *start* is the first number that they get, unless the forest has higher ones.
    Raises ImageError if the table contradicts itself, Unplannable if it does not but no order leads to it,
    EnvironmentDiffers if there are not enough numbers.
    """
    table = Table(forest)
    take_number = _free_numbers(table, taken, pid_max, start).__next__
    groups = plan_groups(table, take_number)
    births, steps = _first_acts(table, groups, take_number)
    return Plan((*steps, *_deaths(table, births)), table.squashed)


def _free_numbers(table: Table, taken: Container[int], pid_max: int, start: int) -> Iterator[int]:
    # Above everything that the forest knows first, so that numbers of the image and of the machine stay apart.
    top = max(*table.numbers, _RESERVED) + 1
    first = max(top, start)
    for number in chain(range(first, pid_max), range(top, first), range(min(top, pid_max) - 1, _RESERVED, -1)):
        if number not in table.numbers and number not in taken:
            yield number
    raise EnvironmentDiffers(f"no PID below {pid_max} is free for a placeholder", "raise kernel.pid_max")


def _first_acts(
    table: Table, groups: Groups, take_number: Callable[[], int]
) -> tuple[dict[int, Birth], tuple[Step, ...]]:
    problem: Unplannable | None = None
    for sessions in islice(possible_sessions(table), _TRIES):
        try:
            return arrange(table, plan_births(table, sessions, groups, take_number), groups)
        except Unplannable as error:
            problem = problem or _told_of_a_member(table, error)
    raise problem or Unplannable(table.root, "no order of births puts everybody below it in the right session")


def _told_of_a_member(table: Table, error: Unplannable) -> Unplannable:
    """The same, of somebody who is in the tree: who is born only to lead or to die has no name for the user."""
    if error.pid in table.members:
        return error
    led = (pid for pid in table.walk() if error.pid in (table.sid[pid], table.pgid[pid]))
    why = error.reason.removeprefix("cannot be born again: ")
    return Unplannable(next(led, table.root), f"it needs PID {error.pid}, which has ended, again: {why}")


def _deaths(table: Table, births: dict[int, Birth]) -> Iterator[Step]:
    """The third act: the lowest die first.

    So when somebody dies, all above it are still where they were born, and the heir is among them. One subreaper
    at a time: whoever is the nearest one above is then the only one.
    """
    subreaper = OUTSIDE
    for number, birth in reversed(births.items()):
        if birth.kind is Kind.REAL:
            continue
        if birth.has_wards and birth.heir != subreaper:
            if subreaper != OUTSIDE:
                yield Subreaper(subreaper, False)
            yield Subreaper(birth.heir, True)
            subreaper = birth.heir
        yield Dies(number)
        yield Reaps(birth.parent, number, _seen(table, births, birth))
    for pid, member in table.members.items():
        if not member.zombie and member.subreaper != (pid == subreaper):
            yield Subreaper(pid, member.subreaper)


def _seen(table: Table, births: dict[int, Birth], birth: Birth) -> int:
    """The number by which its parent knows somebody who is not in the image; 0 where it is that which crtool knows."""
    level = len(table.around[births[birth.parent].namespace]) if birth.parent != OUTSIDE else 1
    return birth.pids[level - 1] if level > 1 else 0
