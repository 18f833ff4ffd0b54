"""Histories: what the processes of one tree might do until somebody takes a checkpoint."""

from __future__ import annotations

import errno

from crtool.tree.model import CLONE_PARENT, SIGCHLD, Forest

from .kernel_model import STARTER, Kernel, Refused

__all__ = ["CALLS", "Call", "history"]

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
