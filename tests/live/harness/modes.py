"""What is done to a specimen between "ready" and SIGTERM."""

from __future__ import annotations

from collections.abc import Callable

from .run import Run

__all__ = ["MODES"]

LINKS = 3
"""Restarts in a chain: the second shows what the first did not restore, the third what only looks restored."""


def plain(run: Run) -> None:
    """Nothing at all: shows that the specimen itself holds."""
    run.pass_judgement()


def restart(run: Run) -> None:
    """Checkpoint and kill, then restart."""
    run.restart(run.checkpoint("--kill"))
    run.pass_judgement()


def leave(run: Run) -> None:
    """Two checkpoints that leave the target running: first the target itself is checked, then the second image.

    Two, because whatever the first leaves behind in the target (a call that is being continued, say) is in the second.
    """
    run.checkpoint()
    files = run.state_of_files()
    image = run.checkpoint()
    run.crtool("verify", str(image))
    run.pass_judgement()
    files.restore()
    run.restart(image)
    run.pass_judgement()


def chain(run: Run) -> None:
    """The restart of a restart of a restart."""
    for _ in range(LINKS):
        run.restart(run.checkpoint("--kill"))
    run.pass_judgement()


MODES: dict[str, Callable[[Run], None]] = {"plain": plain, "restart": restart, "leave": leave, "chain": chain}
