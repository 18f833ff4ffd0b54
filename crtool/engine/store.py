"""Where the images of one job are kept: a folder with history, or a single file that each image replaces.

A *store* is a folder; every ``*.crt`` in it is an image of the job, and the newest (by the time when it was written)
that is whole is where the job goes on. Nothing else is kept about it: images may be copied in, and taken away, by hand.
An image that another one builds on stays as long as that one does.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol, TypeVar

from crtool.engine.news import Watch
from crtool.engine.results import PruneResult, StoredImage, StoreListing
from crtool.engine.show import show
from crtool.engine.verify import verify
from crtool.errors import EnvironmentDiffers, ImageError, NotFound, ParentMissing, TargetError, UsageError
from crtool.image.keys import Keys
from crtool.image.place import folder_at, require_replaceable
from crtool.image.reader import ImageReader
from crtool.image.trouble import shown
from crtool.record import dataclass

__all__ = [
    "SUFFIX",
    "ImageFile",
    "ImageFolder",
    "Keeper",
    "first_whole",
    "images_in",
    "keeper_of",
    "list_store",
    "needed_by",
    "newest_whole",
    "prune",
]

SUFFIX = ".crt"
DEFAULT_KEEP = 3
_LONGEST_CHAIN = 64  # images whose bytes one image has

Report = Callable[[str], None]  # is told, in a line, what the user should know
_Image = TypeVar("_Image", str, int)


class Keeper(Protocol):
    """Where the next image of a job goes, and where the last one is."""

    @property
    def path(self) -> str:
        """What the user calls it."""

    @property
    def lock(self) -> str:
        """Path of the file that says who is at work there."""

    def newest(self, report: Report) -> str | None:
        """The image at which the job goes on, None if there is none yet. ImageError if there are only damaged ones."""

    def next(self) -> str:
        """The path of the next image; it may be there already, and is to be replaced then."""

    def parent(self, image: str) -> bool:
        """Whether the next image is to build on *image*, the last one, rather than be whole."""

    def written(self) -> None:
        """An image has reached the disk: what it makes superfluous goes."""

    def clear(self) -> None:
        """The job is done: its images go."""


@dataclass(frozen=True)
class ImageFile:
    """A single image, replaced in one step by the next."""

    path: str

    @property
    def lock(self) -> str:
        """Beside the image, hidden."""
        folder, name = os.path.split(self.path)
        return os.path.join(folder, f".{name}.run")

    def newest(self, report: Report) -> str | None:
        """The image, if it is there. There is none to step back to: whoever restarts it sees whether it is whole.

        UsageError if it could be no image of this job's: a named pipe, say, for whose writer it would wait.
        """
        with suppress(FileNotFoundError):
            require_replaceable(os.stat(self.path).st_mode, shown(self.path))
        return self.path if os.path.lexists(self.path) else None

    def next(self) -> str:
        """Always the same."""
        return self.path

    def parent(self, image: str) -> bool:
        """It would be replaced by what builds on it."""
        return False

    def written(self) -> None:
        """The new image has replaced the old one."""

    def clear(self) -> None:
        """Removes the image."""
        _remove(self.path)


@dataclass(frozen=True)
class ImageFolder:
    """A store: the newest *keep* images of a job."""

    path: str
    keep: int = DEFAULT_KEEP
    keys: Keys | None = None  # that the images ask for

    @property
    def lock(self) -> str:
        """In the folder, hidden."""
        return os.path.join(self.path, ".run")

    def newest(self, report: Report) -> str | None:
        """The newest image that is whole; *report* is told of the damaged ones that are newer."""
        return newest_whole(self.path, report, keys=self.keys) if images_in(self.path) else None

    def next(self) -> str:
        """A name made of the time, to the microsecond: they sort as they were written."""
        now = time.time_ns() // 1000
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now // 1_000_000))
        return os.path.join(self.path, f"{stamp}.{now % 1_000_000:06}{SUFFIX}")

    def parent(self, image: str) -> bool:
        """As long as all that was stored since the last whole image is less than that, and there are not too many."""
        with ImageReader.open(image, keys=self.keys) as reader:
            sizes = [holder.info.file_length for holder in (reader, *reader.ancestors())]
        return len(sizes) < _LONGEST_CHAIN and sum(sizes) < 2 * max(sizes)

    def written(self) -> None:
        """Removes what is older than the newest *keep*, and what these do not build on. They have just been written and
        are not verified again.
        """
        paths = images_in(self.path)
        needed = needed_by(paths[: self.keep], self.keys)
        for path in paths[self.keep :]:
            if os.path.realpath(path) not in needed:
                _remove(path)

    def clear(self) -> None:
        """Removes all images; the folder stays."""
        for path in images_in(self.path):
            _remove(path)


def keeper_of(path: str, keep: int | None, keys: Keys | None = None) -> Keeper:
    """The place that *path* names: a folder if it is one, ends with a slash, or if more than one image is to be kept.

    Makes the folder. Raises UsageError if *path* is a file and a folder is wanted, EnvironmentDiffers if it cannot be
    made.
    """
    if not (os.path.isdir(path) or path.endswith("/") or (keep or 1) > 1):
        return ImageFile(path)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            remedy = f"move it into a folder, or name another place: --keep {keep} wants a folder of images"
            raise UsageError(f"{path} is a file and no folder", remedy) from None
    except OSError as error:
        raise EnvironmentDiffers(
            f"{path}: the folder for the images cannot be made: {error.strerror}", "choose another place"
        ) from None
    return ImageFolder(path, DEFAULT_KEEP if keep is None else keep, keys)


def images_in(folder: str) -> list[str]:
    """The paths of the images in *folder*, newest first.

    NotFound if there is no such folder, TargetError if the caller may not read it.
    """
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX) and not entry.name.startswith(".") and entry.is_file():
                    found.append((entry.stat().st_mtime_ns, entry.name, entry.path))
    except PermissionError:
        raise TargetError(f"{shown(folder)}: no permission to read the folder", "ask its owner") from None
    except OSError as error:
        why = {errno.ENOENT: "no such folder", errno.ENOTDIR: "no folder"}.get(error.errno or 0, error.strerror)
        raise NotFound(f"{shown(folder) or 'an empty name'}: {why}", "see the name of the folder") from None
    return [path for _, _, path in sorted(found, reverse=True)]


def needed_by(paths: Sequence[str], keys: Keys | None = None) -> set[str]:
    """The images, by their real paths, that those at *paths* build on.

    One that *keys* do not decrypt counts as whole: nobody without the keys can have made one that builds on it.
    """
    found = set()
    for path in paths:
        with suppress(ImageError, NotFound, TargetError), ImageReader.open(path, keys=keys) as reader:
            for origin in reader.origins:
                beside = os.path.join(os.path.dirname(path), os.path.basename(os.fsdecode(origin.path)))
                found |= {os.path.realpath(beside), os.path.realpath(os.fsdecode(origin.path))}
    return found


def newest_whole(folder: str, report: Report, progress: Watch | None = None, keys: Keys | None = None) -> str:
    """The newest image of *folder* in which every byte is as it was written.

    *report* is told of every damaged one that is passed over. Raises NotFound if the folder has no image, and
    ImageError if it has no whole one; TargetError if *keys* do not decrypt one, about which nothing is known then.
    """
    return first_whole(folder, images_in(folder), report, progress, keys)


def first_whole(
    folder: str,
    images: Sequence[_Image],
    report: Report,
    progress: Watch | None = None,
    keys: Keys | None = None,
) -> _Image:
    """The same of *images*, paths or descriptors, newest first, which are in *folder*."""
    for image in images:
        try:
            verify(image, progress, keys)
        except ImageError as error:
            report(f"{error.message}; going back to the image before it")
        else:
            return image
    if not images:
        raise NotFound(f"{folder} has no image (*{SUFFIX})", "see the name of the folder")
    raise ImageError(f"{folder} has no whole image: {_how_many(images)} damaged", "use a copy of one of them")


def list_store(
    folder: str, *, verify_all: bool = False, progress: Watch | None = None, keys: Keys | None = None
) -> StoreListing:
    """The images of *folder*, newest first. NotFound without a folder.

    Of each is seen whether what it builds on is there; the data is looked at only with *verify_all*.
    """
    return StoreListing(folder, tuple(_looked_at(path, verify_all, progress, keys) for path in images_in(folder)))


def prune(
    folder: str, keep: int, *, dry_run: bool = False, progress: Watch | None = None, keys: Keys | None = None
) -> PruneResult:
    """Removes the images of *folder* but the *keep* newest whole ones, and those that these build on.

    Damaged images are removed only where a whole one stays: as long as there is none, everything does. One whose parent
    cannot be found stays too, and is not counted. TargetError, and nothing is removed, if *keys* do not decrypt one.
    """
    if keep < 1:
        raise UsageError("at least one image has to be kept", "to remove all of them, remove the folder")
    with suppress(OSError):  # of which images_in tells
        os.close(folder_at(os.fsencode(folder)))
    kept: list[str] = []
    damaged: list[str] = []
    partial: list[str] = []
    rest: list[str] = []
    for path in images_in(folder):
        if len(kept) == keep:
            rest.append(path)
            continue
        try:
            verify(path, progress, keys)
        except ParentMissing:
            partial.append(path)
        except ImageError:
            damaged.append(path)
        else:
            kept.append(path)
    needed = needed_by([*kept, *partial], keys)
    stays = tuple(path for path in rest if os.path.realpath(path) in needed)
    gone = [path for path in (*damaged, *rest) if path not in stays] if kept else []
    size = sum(os.stat(path).st_size for path in gone)
    if not dry_run:
        for path in gone:
            _remove(path)
    return PruneResult(folder, tuple(kept or damaged), tuple(gone), size, dry_run, stays, tuple(partial))


def _looked_at(path: str, verify_all: bool, progress: Watch | None, keys: Keys | None) -> StoredImage:
    status = os.stat(path)
    try:
        summary = show(path, keys)
        with ImageReader.open(path, keys=keys) as reader:
            reader.ancestors()
        if verify_all:
            verify(path, progress, keys)
    except TargetError:
        return StoredImage(path, _utc(status.st_mtime), status.st_size, encrypted=True)
    except ImageError as error:
        return StoredImage(path, _utc(status.st_mtime), status.st_size, damaged=error.message)
    root = next(process for process in summary.processes if process.pid == summary.root)
    return StoredImage(
        path=path,
        written=summary.created,
        size=status.st_size,
        root=summary.root,
        processes=len(summary.processes),
        command=" ".join(root.cmdline) or root.comm,
        parents=summary.parents,
        encrypted=summary.encrypted,
    )


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _how_many(paths: Sequence[_Image]) -> str:
    return "the only one is" if len(paths) == 1 else f"all {len(paths)} are"


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise EnvironmentDiffers(
            f"{path} cannot be removed: {error.strerror}", "see the rights of its folder"
        ) from None
