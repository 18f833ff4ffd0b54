"""The model's rules are those of the running kernel: the same scenes, played by both, end the same."""

from __future__ import annotations

import json
import os
import traceback

import pytest

from crtool.tree.model import CLONE_PARENT

from .kernel_model import STARTER, Kernel, Refused
from .real_kernel import BIRTHS, Scene, scene, status

SCENES = {
    "a child is born into the session and group of its parent": "r fork a, a setsid, a fork b",
    "a child from before setsid stays behind": "r fork a, a fork b, a setsid",
    "setsid is refused to the leader of a group": "r fork a, a setpgid a a, a setsid",
    "setsid is refused to a session leader": "r fork a, a setsid, a setsid",
    "setsid is refused while a group has the number": "r fork a, r fork b, a setpgid a a, b setpgid b a, a setpgid a r, a setsid",  # noqa: E501
    "setsid is granted again when the group has ended": "r fork a, a setpgid a a, a setpgid a r, a setsid",
    "no group across sessions": "r fork a, r fork b, a setsid, b setpgid b a",
    "no group that nobody is in": "r fork a, r fork b, b setpgid b a",
    "a session leader stays in its group": "r fork a, r fork b, b setpgid b b, a setsid, a setpgid a b",
    "a parent moves its child": "r fork a, r setpgid a a",
    "a parent moves no child of another session": "r fork a, a setsid, a fork b, r setpgid a a",
    "a grandparent moves nobody": "r fork a, a fork b, r setpgid b b",
    "a zombie's group can be joined": "r fork a, r fork b, a setpgid a a, a exit, b setpgid b a",
    "a group outlives its leader": "r fork a, r fork b, r fork c, a setpgid a a, b setpgid b a, a exit, r wait a, c setpgid c a",  # noqa: E501
    "a group ends with its last member": "r fork a, r fork b, a setpgid a a, a exit, r wait a, b setpgid b a",
    "a session outlives its leader": "r fork a, a setsid, a fork b, a exit, r wait a, b fork c",
    "an orphan goes to the init": "r fork a, a fork b, b fork c, b exit",
    "an orphan goes to the nearest subreaper": "r subreaper 1, r fork a, a subreaper 1, a fork b, b fork c, b exit",
    "a subreaper above is passed on to": "r subreaper 1, r fork a, a fork b, b fork c, b exit",
    "a subreaper that stepped down is passed over": "r subreaper 1, r fork a, a subreaper 1, a fork b, b fork c, a subreaper 0, b exit",  # noqa: E501
    "a late subreaper adopts too": "r fork a, a fork b, b fork c, a subreaper 1, b exit",
    "nobody inherits being a subreaper": "r subreaper 1, r fork a, a fork b, b fork c, b exit, a exit",
    "zombies are adopted": "r subreaper 1, r fork a, a fork b, b exit, a exit",
    "a sibling has the creator's session and the creator's parent": "r fork a, a setsid, a sibling b",
    "a sibling is waited for by the parent": "r fork a, a sibling b, b exit, a wait b, r wait b",
    "a sibling has the creator's exit signal": "r quiet a, a sibling b, a fork c",
    "an adopted child has SIGCHLD": "r subreaper 1, r fork a, a quiet b, a exit",
    "the end of a quiet child is waited for with __WALL": "r quiet a, a exit, r wait a",
    "leaders can swap groups while somebody holds one": (
        "r fork a, r fork b, r fork c, a setpgid a a, b setpgid b b, c setpgid c a, a setpgid a b, b setpgid b a, c exit, r wait c"  # noqa: E501
    ),
    "leaders cannot swap groups alone": "r fork a, r fork b, a setpgid a a, b setpgid b b, a setpgid a b, b setpgid b a",  # noqa: E501
}

_CAST = "rabc"
_Table = dict[str, list[object]]  # name → parent, group, session (all by name), zombie, exit signal


@pytest.mark.parametrize("play", SCENES.values(), ids=SCENES.keys())
def test_model_and_kernel_agree(play: str) -> None:
    """Which calls are refused, and the table after each."""
    orders = [order.split() for order in play.split(", ")]

    assert _played_by_the_kernel(orders) == _played_by_the_model(orders)


def _played_by_the_model(orders: list[list[str]]) -> list[list[object]]:
    kernel = Kernel()
    pids = {"r": kernel.clone(STARTER)}
    seen: list[list[object]] = []
    for name, call, *args in orders:
        own, error = pids[name], 0
        try:
            if call == "fork":
                pids[args[0]] = kernel.clone(own)
            elif call == "quiet":
                pids[args[0]] = kernel.clone(own, exit_signal=0)
            elif call == "sibling":
                pids[args[0]] = kernel.clone(own, flags=CLONE_PARENT)
            elif call == "setsid":
                kernel.setsid(own)
            elif call == "setpgid":
                kernel.setpgid(own, pids[args[0]], pids[args[1]] if args[1] != "r" else STARTER)
            elif call == "subreaper":
                kernel.set_subreaper(own, args[0] == "1")
            elif call == "exit":
                kernel.exit(own)
            elif call == "wait":
                kernel.wait(own, pids[args[0]])
        except Refused as refusal:
            error = refusal.errno or -1
        names = {pid: name for name, pid in pids.items()}
        table: _Table = {}
        for name, pid in pids.items():
            if pid in kernel.processes:
                found = kernel.processes[pid]
                numbers = (found.parent, found.pgid, found.sid)
                table[name] = [*(names.get(number, "outside") for number in numbers), found.zombie, found.exit_signal]
        seen.append([error, table])
    return seen


def _play(played: Scene, name: str, call: str, *args: str) -> list[object]:
    numbers = [played.pids.get(arg, arg) for arg in args]
    if call in BIRTHS:
        numbers = list(args)
    elif call == "setpgid" and args[1] == "r":
        numbers[1] = played.stage  # the group that everybody is in from birth
    error = played.tell(name, call, *numbers)
    names = {pid: who for who, pid in played.pids.items()}
    table: _Table = {}
    for who, pid in played.pids.items():
        if (found := status(pid)) is not None:
            table[who] = [*(names.get(number, "outside") for number in found[:3]), found[3] == "Z", found[4]]
    return [error, table]


def _played_by_the_kernel(orders: list[list[str]]) -> list[list[object]]:
    """Plays in a fork of the test, so that pytest becomes neither a subreaper nor a session leader."""
    ours, theirs = os.pipe()
    stage = os.fork()
    if not stage:
        try:
            os.close(ours)
            with scene(_CAST) as played:
                played.start("r")
                answer = [_play(played, *order) for order in orders]
            os.write(theirs, json.dumps(answer).encode())
        except BaseException:  # noqa: BLE001 - a fork of pytest must not return into it, but has to say what went wrong
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(theirs)
    with open(ours) as file:
        text = file.read()
    os.waitpid(stage, 0)
    seen: list[list[object]] = json.loads(text)
    return seen
