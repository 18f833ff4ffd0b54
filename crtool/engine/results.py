"""What the verbs report, as data."""

from __future__ import annotations

from dataclasses import field

from crtool.errors import Obstacle
from crtool.record import dataclass

__all__ = [
    "CheckReport",
    "CheckpointResult",
    "DescriptorSummary",
    "Feature",
    "ImageSummary",
    "MappingSummary",
    "ProcessSummary",
    "Progress",
    "RestartResult",
    "VerifyResult",
]


@dataclass(frozen=True)
class Progress:
    """How far long work is."""

    stage: str  # a word for the user
    done: int  # bytes
    total: int  # bytes


@dataclass(frozen=True)
class CheckpointResult:
    """What a checkpoint has done."""

    image: str | None  # path of the image, None if it was streamed
    size: int  # bytes of the image
    pid: int  # the root of the tree
    processes: int
    threads: int
    pages_written: int
    pages_skipped: int  # present, but not to be saved: of files, or zero
    frozen_seconds: float  # from the first stop to the last release
    wall_seconds: float
    left: str  # "running", "stopped" or "killed"
    warnings: tuple[str, ...] = ()
    stages: dict[str, float] = field(default_factory=dict)  # seconds by stage


@dataclass(frozen=True)
class RestartResult:
    """What a restart has done."""

    pid: int  # of the restored root
    processes: int
    wall_seconds: float  # until everything ran
    warnings: tuple[str, ...] = ()
    status: int | None = None  # wait status of the root, if it was waited for


@dataclass(frozen=True)
class Feature:
    """Something that the kernel, or the caller's rights, give or do not give."""

    name: str
    available: bool
    detail: str
    needed: bool  # nothing works without it


@dataclass(frozen=True)
class CheckReport:
    """What stands in the way of checkpoints here, or of one of a given process."""

    features: tuple[Feature, ...]
    obstacles: tuple[Obstacle, ...] = ()
    warnings: tuple[str, ...] = ()
    estimated_size: int | None = None  # bytes of an image


@dataclass(frozen=True)
class DescriptorSummary:
    """One descriptor."""

    fd: int
    kind: str
    detail: str


@dataclass(frozen=True)
class MappingSummary:
    """One mapping."""

    start: int
    end: int
    permissions: str  # as in /proc/PID/maps
    name: str
    saved_bytes: int


@dataclass(frozen=True)
class ProcessSummary:
    """One process of an image."""

    pid: int
    ppid: int
    pgid: int
    sid: int
    state: str
    comm: str
    exe: str
    cmdline: tuple[str, ...]
    threads: int
    mappings: tuple[MappingSummary, ...]
    memory_bytes: int
    descriptors: tuple[DescriptorSummary, ...]
    environment: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageSummary:
    """What is inside an image."""

    format: int
    cpu: str
    kernel: str
    created: str  # ISO 8601, UTC
    size: int
    root: int
    processes: tuple[ProcessSummary, ...]
    data_bytes: int
    tty: str | None = None


@dataclass(frozen=True)
class VerifyResult:
    """An image that is whole."""

    size: int
    sections: tuple[str, ...]
