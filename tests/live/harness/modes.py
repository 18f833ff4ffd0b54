"""What is done to a specimen between "ready" and SIGTERM."""

from __future__ import annotations

from collections.abc import Callable

from .run import Run

__all__ = ["MODES", "refused"]

LINKS = 2
"""Restarts in a chain: the second shows what the first did not restore. Longer ones: tests/real and test_whole.py."""


def plain(run: Run) -> None:
    """Nothing at all: shows that the specimen itself holds."""
    run.pass_judgement()


def restart(run: Run) -> None:
    """Checkpoint and kill, then restart."""
    run.restart(run.checkpoint("--kill"))
    run.pass_judgement()


def leave(run: Run) -> None:
    """Two checkpoints that leave the target running: first the target itself is checked, then both images.

    Two, because whatever the first leaves behind in the target (a call that is being continued, say) is in the second.
    Specimens are so small that they would not be forked unless that is asked for.
    """
    images = [run.checkpoint("--live", "fork")]
    files = run.state_of_files()
    images.append(run.checkpoint())
    run.crtool("verify", str(images[1]))
    run.pass_judgement()
    for image in images:
        files.restore()
        run.restart(image)
        run.pass_judgement()


def chain(run: Run) -> None:
    """The restart of a restart."""
    for _ in range(LINKS):
        run.restart(run.checkpoint("--kill"))
    run.pass_judgement()


def refused(run: Run) -> None:
    """In place of the others, for what the kernel lets nobody save: a refusal by name, and an unharmed target."""
    wanted = run.specimen.refusal or "vfork"
    image = run.folder / "refused.crt"
    done = run.attempt("checkpoint", str(run.root), "-o", str(image), "--kill")
    status = 122 if run.specimen.refusal else 121
    if done.returncode != status or wanted.encode() not in done.stdout or image.exists():
        raise run.broken("this is no refusal by name")
    run.pass_judgement()


MODES: dict[str, Callable[[Run], None]] = {"plain": plain, "restart": restart, "leave": leave, "chain": chain}
