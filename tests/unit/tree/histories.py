"""Histories: what the processes of one tree might do until somebody takes a checkpoint."""

from __future__ import annotations

import errno

from crtool.tree.model import CLONE_NEWPID, CLONE_PARENT, SIGCHLD, Forest

from .kernel_model import STARTER, Kernel, Refused
from .nested_model import Nested

__all__ = ["CALLS", "NESTED_CALLS", "Call", "history", "nested_history"]

Call = tuple[str, int, int]  # what, by whom, an argument; the latter two count through the tree

CALLS = (
    *("fork", "fork", "fork", "setsid", "setsid", "setpgid", "group"),
    *("exit", "exit", "wait", "wait", "subreaper", "sibling", "daemon"),
)


def history(calls: list[Call], flags: tuple[int, ...] = (0,), signals: tuple[int, ...] = (SIGCHLD,)) -> Forest:
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


NESTED_CALLS = (*CALLS, "namespace", "namespace", "unshare", "enter", "enter", "put")


def nested_history(calls: list[Call], *, first: bool, depth: int = 0) -> Forest:
    """The same with PID namespaces.

    *first*: the root is the first process of one. *depth*: so many are nested in each other before it all begins, each
    with its first process below that of the one around it.
    """
    kernel = Nested(pid_max=60)
    root = kernel.clone(STARTER, 0, CLONE_NEWPID if first else 0)
    innermost = root
    for _ in range(depth):
        innermost = kernel.clone(innermost, 0, CLONE_NEWPID)
    kernel.set_subreaper(root, True)  # nobody leaves the tree
    for call, who, argument in calls:
        tree = kernel.below(root)
        living = [process for process in tree if not process.zombie]
        own = living[who % len(living)]
        other = tree[argument % len(tree)]
        try:
            _call(kernel, root, call, own.pid, other.pid, argument)
        except Refused as refusal:
            assert refusal.errno in _ORDINARY
    return kernel.photograph(root)


_ORDINARY = (errno.EPERM, errno.ECHILD, errno.EAGAIN, errno.ESRCH, errno.EINVAL, errno.ENOMEM, errno.EBUSY)


def _call(kernel: Nested, root: int, call: str, own: int, other: int, argument: int) -> None:
    children = [child.pid for child in kernel.children(own)] or [own]
    child = children[argument % len(children)]
    if call == "fork":
        kernel.clone(own)
    elif call == "namespace":
        kernel.clone(own, 0, CLONE_NEWPID)
    elif call == "unshare":
        kernel.unshare(own)
    elif call == "enter":
        kernel.setns(own, kernel.space[other])
    elif call == "sibling" and own != root:
        kernel.clone(own, 0, CLONE_PARENT)
    elif call == "setsid":
        kernel.setsid(own)
    elif call == "setpgid":
        kernel.setpgid(own, own, kernel.processes[other].pgid)
    elif call == "group":
        kernel.setpgid(own, child, child)
    elif call == "put":
        kernel.setpgid(own, child, kernel.processes[other].pgid)
    elif call == "exit" and own != root:
        kernel.exit(own)
    elif call == "wait":
        dead = [process for process in kernel.below(root) if process.zombie] or [kernel.processes[other]]
        kernel.wait(dead[argument % len(dead)].parent, dead[argument % len(dead)].pid)
    elif call == "daemon" and own != root:
        kernel.setsid(own)
        kernel.clone(own)
        parent = kernel.processes[own].parent
        kernel.exit(own)
        kernel.wait(parent, own)
    elif call == "subreaper":
        kernel.set_subreaper(own, True)
