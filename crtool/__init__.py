"""crtool saves running processes to one file and brings them back.

    import crtool

    result = crtool.checkpoint(4711, "web.crt", leave="killed")
    crtool.restart(result.image, detach=True)

The verbs are those of the command line: :func:`checkpoint`, :func:`restart`, :func:`check`, :func:`show` and
:func:`verify`. What goes wrong is a :class:`CrtoolError`; ``crtool.errors`` has the whole family. Beside them,
:func:`eclone` starts a process with the PIDs asked for, as os.fork() does, and raises OSError.

Importing this package costs next to nothing: what a name stands for is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crtool.engine.check import check as check
    from crtool.engine.checkpoint import checkpoint as checkpoint
    from crtool.engine.restart import restart as restart
    from crtool.engine.results import CheckpointResult as CheckpointResult
    from crtool.engine.results import CheckReport as CheckReport
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
    from crtool.errors import TargetDied as TargetDied
    from crtool.errors import TargetError as TargetError
    from crtool.errors import TimeoutExpired as TimeoutExpired
    from crtool.errors import UsageError as UsageError
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
    "EnvironmentDiffers",
    "ImageError",
    "ImageSummary",
    "InternalError",
    "NotFound",
    "Obstacle",
    "ObstacleError",
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
    "clone_with_pids",
    "eclone",
    "restart",
    "show",
    "verify",
]

_VERBS = frozenset({"check", "checkpoint", "restart", "show", "verify"})
_ECLONE = frozenset({"CloneArgs", "CloneArgsV12", "clone_with_pids", "eclone"})
_RESULTS = frozenset({"CheckReport", "CheckpointResult", "ImageSummary", "Progress", "RestartResult", "VerifyResult"})


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _VERBS:
        module = f"crtool.engine.{name}"
    elif name in _ECLONE:
        module = "crtool.kernel.eclone"
    else:
        module = "crtool.engine.results" if name in _RESULTS else "crtool.errors"
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
