"""What a shell offers when TAB is pressed: processes with their names, and images."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from crtool.cli.text import printable

__all__ = ["images", "processes"]

_SUFFIX = ".crt"
_WIDTH = 72  # characters of a command line


def processes(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """PIDs that begin with *incomplete*, with command lines; an ordinary user is offered his own only."""
    user = os.geteuid()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or not folder.name.startswith(incomplete) or int(folder.name) == os.getpid():
            continue
        try:
            if user and folder.stat().st_uid != user:
                continue
            words = (folder / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended
        if words:  # neither a kernel thread nor a zombie
            line = words.rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
            found.append((int(folder.name), printable(line)[:_WIDTH]))
    return [CompletionItem(str(pid), help=line) for pid, line in sorted(found)]


def images(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Images that begin with *incomplete*, and folders; all files where there is no image."""
    folder, name = os.path.split(incomplete)
    try:
        names = sorted(entry for entry in os.listdir(folder or ".") if entry.startswith(name))
        names = [entry for entry in names if entry.endswith(_SUFFIX)]
    except OSError:
        names = []
    if not names:
        return [CompletionItem(incomplete, type="file")]
    # The folders first: click's function for bash forgets what it was told before them.
    return [CompletionItem(incomplete, type="dir"), *(CompletionItem(os.path.join(folder, entry)) for entry in names)]
