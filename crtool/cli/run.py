"""``crtool run``: start a command under care, or go on from its image."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import click

from crtool.cli.ending import end_by_signal, end_like, finish, say, warn
from crtool.cli.group import VERBS, Example, Verb
from crtool.cli.options import PATH, duration_option, quiet, signals_of, verbose, verbosity
from crtool.cli.secrets import lock_and_key_options
from crtool.cli.text import printable
from crtool.errors import UsageError

if TYPE_CHECKING:
    from crtool.image.keys import Keys, Lock

__all__ = ["command"]

_EXAMPLES = (
    Example("Save a job every ten minutes; run the same again to go on with it.", "crtool run --every 10m -- ./job"),
    Example(
        "Save and end it on SIGTERM; status 75 makes a scheduler requeue it.",
        "crtool run --on-signal TERM --on-checkpoint-exit 75 -- ./job",
    ),
    Example(
        "Keep five images; save and end on SIGTERM, with a status that makes the scheduler run it again.",
        "crtool run --image job.d --keep 5 --every 1h --on-signal TERM --on-checkpoint-exit 75 -- python3 train.py",
    ),
)

_NOTES = (
    (
        "GOING ON",
        "If there is an image, the command is not started: it goes on from the newest image that is whole. So the "
        "same command line does it after a reboot, in cron, in a systemd unit, or as the entry point of a container. "
        "When the command has ended with status 0 its images are removed, unless --keep-images is given.",
    ),
    (
        "IMAGES",
        "Without --image they are called like the command, with .crt behind it, in the current folder. PATH is a "
        "single file, which each new image replaces once that is whole; or, if it is a folder, ends with a slash, or "
        "--keep 2 or more is given, a folder with the newest images. crtool ls, restart and prune take such a folder.",
    ),
    (
        "INCREMENTS",
        "With --incremental an image in a folder has only the pages that are not in the one before it, with which they "
        "are compared. When as much has come together as a whole image has, the next one is whole. Images on which a "
        "newer one builds stay as long as that does, beyond --keep. One that is damaged or gone takes all with it that "
        "build on it.",
    ),
    (
        "SIGNALS",
        "Those of --on-signal make a checkpoint: SIGTERM, SIGINT, SIGHUP and SIGQUIT end the command once its image is "
        "safely on disk, and crtool ends by the same signal, or with the status of --on-checkpoint-exit; after the "
        "others it goes on. If it cannot be saved it gets the signal itself. All other "
        "signals are passed on, and crtool ends as the command ends. The command is a job of its own: what is typed at "
        "a terminal goes to it alone.",
    ),
)


def _is_new(options: dict[str, Any]) -> bool:
    """Whether there is no image that will show that the passphrase was mistyped."""
    from crtool.engine.store import images_in  # noqa: PLC0415 - help and errors of usage do without
    from crtool.image.sealed import has_passphrase  # noqa: PLC0415

    path = options["image"] or default_image(options["words"][0])
    newest = images_in(path)[:1] if os.path.isdir(path) else [path]
    return options["fresh"] or not any(map(has_passphrase, newest))


@click.command(
    "run",
    cls=Verb,
    short_help=VERBS["run"].help,
    examples=_EXAMPLES,
    usual="--image --every --keep --on-signal --on-checkpoint-exit --restart-on-crash --fresh",
    notes=_NOTES,
    context_settings={"allow_interspersed_args": False},
)
@click.option("--image", type=PATH, metavar="PATH", help="Where its image is, or a folder of images.")
@duration_option("--every", help="Save it every TIME: seconds, or 90s, 10m, 1h.")
@click.option("--keep", type=click.IntRange(min=1), metavar="N", help="Keep the newest N images, in a folder.")
@click.option("--on-signal", metavar="NAME[,...]", callback=signals_of, help="Save it on these signals: USR1,TERM.")
@click.option(
    "--on-checkpoint-exit",
    type=click.IntRange(0, 255),
    metavar="STATUS",
    help="Status when a signal ended it.",
)
@click.option(
    "--restart-on-crash",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="When it fails, go back, N times.",
)
@click.option("--fresh", is_flag=True, help="Start it anew, even if there is an image.")
@click.option("--incremental", is_flag=True, help="Write only what has changed since the image before; in a folder.")
@click.option("--keep-images", is_flag=True, help="Keep the images also when the command has ended with status 0.")
@lock_and_key_options(_is_new)
@quiet
@verbose
@click.argument("words", metavar="CMD...", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def command(
    context: click.Context,
    image: str | None,
    every: float | None,
    keep: int | None,
    on_signal: frozenset[int],
    on_checkpoint_exit: int | None,
    restart_on_crash: int,
    fresh: bool,
    keep_images: bool,
    incremental: bool,
    lock: Lock | None,
    keys: Keys | None,
    quiet: bool,
    words: tuple[str, ...],
) -> int:
    """Start command CMD under care, or go on from its image if there is one.
    It is saved now and then; crtool ends as the command ends.
    """
    from crtool.engine import run as engine  # noqa: PLC0415 - help and errors of usage do without
    from crtool.engine.store import ImageFolder, keeper_of  # noqa: PLC0415

    if on_checkpoint_exit is not None and not on_signal & engine.ENDING:
        raise UsageError("--on-checkpoint-exit without a signal that ends", "add --on-signal TERM")
    keeper = keeper_of(image or default_image(words[0]), keep, keys)
    if incremental and not isinstance(keeper, ImageFolder):
        raise UsageError("--incremental needs more than one image", "name a folder: --image job.d/")
    loud = verbosity(context) > 0

    def tell(line: str) -> None:
        if not quiet and (loud or line.startswith("going on")):
            say(f"crtool: {printable(line)}")

    result = engine.run(
        words,
        keeper,
        every=every,
        on_signal=on_signal,
        restart_on_crash=restart_on_crash,
        fresh=fresh,
        keep_images=keep_images,
        incremental=incremental,
        lock=lock,
        keys=keys,
        tell=tell,
        warn=warn,
        done=finish,
    )
    if result.saved_on is None:
        return end_like(result.status)
    if not quiet:
        say(f"crtool: saved on {signal.Signals(result.saved_on).name}; the same command line goes on from there")
    if on_checkpoint_exit is None:
        end_by_signal(result.saved_on)
    return on_checkpoint_exit


def default_image(program: str) -> str:
    """``job.crt`` for ``./job``."""
    return f"{os.path.basename(program.rstrip('/')) or 'command'}.crt"
