"""crtool saves running processes to one file and brings them back.

    import crtool

    result = crtool.checkpoint(4711, "web.crt", leave="killed")
    crtool.restart(result.image, detach=True)

    crtool.checkpoint(4711, "web.crt", lock=crtool.lock(["team.keys"], sign="me"))  # encrypted and signed
    crtool.restart("web.crt", keys=crtool.unlock(["my.key"], require_signature="me.pub"))

The verbs are those of the command line: :func:`checkpoint`, :func:`restart`, :func:`check`, :func:`show` and
:func:`verify`; :func:`dry_run` tells what a restart would do. With :func:`checkpoint_self` a program saves itself. What
goes wrong is a :class:`CrtoolError`; ``crtool.errors`` has the whole family. Beside them, :func:`eclone` starts a
process with the PIDs asked for, as os.fork() does, and raises OSError.

Importing this package costs next to nothing: what a name stands for is imported when it is first used.
"""

from __future__ import annotations

import gc
from importlib import import_module

TYPE_CHECKING = False  # typing.TYPE_CHECKING: nothing is imported here that Python's own start has not
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from crtool.engine.check import check as check
    from crtool.engine.checkpoint import checkpoint as checkpoint
    from crtool.engine.checkpoint_self import checkpoint_self as checkpoint_self
    from crtool.engine.dry_run import dry_run as dry_run
    from crtool.engine.restart import restart as restart
    from crtool.engine.results import CheckpointResult as CheckpointResult
    from crtool.engine.results import CheckReport as CheckReport
    from crtool.engine.results import DryRunResult as DryRunResult
    from crtool.engine.results import ImageSummary as ImageSummary
    from crtool.engine.results import Progress as Progress
    from crtool.engine.results import RestartResult as RestartResult
    from crtool.engine.results import VerifyResult as VerifyResult
    from crtool.engine.show import show as show
    from crtool.engine.verify import verify as verify
    from crtool.errors import CrtoolError as CrtoolError
    from crtool.errors import EnvironmentDiffers as EnvironmentDiffers
    from crtool.errors import ImageError as ImageError
    from crtool.errors import InternalError as InternalError
    from crtool.errors import NotFound as NotFound
    from crtool.errors import Obstacle as Obstacle
    from crtool.errors import ObstacleError as ObstacleError
    from crtool.errors import ParentMissing as ParentMissing
    from crtool.errors import PidTaken as PidTaken
    from crtool.errors import TargetDied as TargetDied
    from crtool.errors import TargetError as TargetError
    from crtool.errors import TimeoutExpired as TimeoutExpired
    from crtool.errors import UsageError as UsageError
    from crtool.image.keys import Keys as Keys
    from crtool.image.keys import Lock as Lock
    from crtool.image.keys import lock as lock
    from crtool.image.keys import unlock as unlock
    from crtool.kernel.eclone import CloneArgs as CloneArgs
    from crtool.kernel.eclone import CloneArgsV12 as CloneArgsV12
    from crtool.kernel.eclone import clone_with_pids as clone_with_pids
    from crtool.kernel.eclone import eclone as eclone

__version__ = "0.1.0"

__all__ = [
    "CheckReport",
    "CheckpointResult",
    "CloneArgs",
    "CloneArgsV12",
    "CrtoolError",
    "DryRunResult",
    "EnvironmentDiffers",
    "ImageError",
    "ImageSummary",
    "InternalError",
    "Keys",
    "Lock",
    "NotFound",
    "Obstacle",
    "ObstacleError",
    "ParentMissing",
    "PidTaken",
    "Progress",
    "RestartResult",
    "TargetDied",
    "TargetError",
    "TimeoutExpired",
    "UsageError",
    "VerifyResult",
    "__version__",
    "check",
    "checkpoint",
    "checkpoint_self",
    "clone_with_pids",
    "dry_run",
    "eclone",
    "lock",
    "restart",
    "show",
    "unlock",
    "verify",
]

_VERBS = frozenset({"check", "checkpoint", "checkpoint_self", "dry_run", "restart", "show", "verify"})
_ECLONE = frozenset({"CloneArgs", "CloneArgsV12", "clone_with_pids", "eclone"})
_KEYS = frozenset({"Keys", "Lock", "lock", "unlock"})
_RESULTS = frozenset(
    {"CheckReport", "CheckpointResult", "DryRunResult", "ImageSummary", "Progress", "RestartResult", "VerifyResult"}
)


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _VERBS:
        module = f"crtool.engine.{name}"
    elif name in _ECLONE:
        module = "crtool.kernel.eclone"
    elif name in _KEYS:
        module = "crtool.image.keys"
    else:
        module = "crtool.engine.results" if name in _RESULTS else "crtool.errors"
    value = getattr(_import(module), name)
    globals()[name] = value
    return value


def _import(module: str) -> ModuleType:
    """Without collecting garbage meanwhile: what modules make is none, and to find that out takes a tenth longer."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return import_module(module)
    finally:
        if was_enabled:
            gc.enable()


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
