"""Who joins which process group, in what order.

When all sessions are made, everybody is in the group of his session's leader (or in crtool's): births inherit the
group, setsid(2) makes one, and nobody has called setpgid(2) yet; so no setsid could fail because its number was in use
by a group. Then three waves:

1. every leader makes its group; a dead leader by a *ghost* that was born in the group's session for this;
2. everybody else joins;
3. the leaders that have themselves moved to another group follow. A group ends with its last member, so a leader
   leaves only when somebody else is in. Where leaders swapped groups in a ring, nobody could begin: a
   *holder* keeps one of the groups in being.
"""

from __future__ import annotations

from collections.abc import Callable

from crtool.record import dataclass
from crtool.tree.forest import OUTSIDE, Table
from crtool.tree.plan_steps import JoinGroup

__all__ = ["Groups", "plan_groups"]


@dataclass(frozen=True)
class Groups:
    """The steps of the second act, and who must have been born for it in the first."""

    ghosts: tuple[int, ...]  # dead group leaders
    holders: tuple[tuple[int, int], ...]  # (number of the holder, group that it holds)
    joins: tuple[JoinGroup, ...]


def plan_groups(table: Table, take_number: Callable[[], int]) -> Groups:
    """Orders the joins; *take_number* gives a number that nobody bears."""
    # The group of a session's own number needs no making: its leader, dead or alive, makes it with the session.
    made = [group for group, session in table.group_session.items() if group != session]
    makes = [JoinGroup(group, group) for group in made]
    ghosts = [group for group in made if group not in table.members]
    leavers = {group for group in made if table.pgid.get(group, group) != group}

    joins: list[JoinGroup] = []
    held: list[int] = []  # leavers that may go
    waiting = set(leavers)  # leavers whose group would end
    for pid, group in table.pgid.items():
        if pid in leavers or group in (pid, table.sid[pid]):
            continue
        joins.append(JoinGroup(pid, group))
        if group in waiting:
            waiting.remove(group)
            held.append(group)

    leaves: list[JoinGroup] = []
    holders: list[tuple[int, int]] = []
    while held or waiting:
        if not held:
            # Only rings are left, and each has as many members as groups.
            ring = min(waiting)
            waiting.remove(ring)
            holders.append((take_number(), ring))
            leaves.append(JoinGroup(*holders[-1]))
            held.append(ring)
        pid = held.pop()
        group = table.pgid[pid]
        leaves.append(JoinGroup(pid, group))
        if group in waiting:
            waiting.remove(group)
            held.append(group)
    return Groups(tuple(ghosts), tuple(holders), (*makes, *joins, *leaves))


assert OUTSIDE == 0  # what JoinGroup calls crtool's own group
