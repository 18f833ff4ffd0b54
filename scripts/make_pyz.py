#!/usr/bin/env python3
"""Make crtool.pyz: crtool and all that it needs in one file, which runs with Python alone.

    scripts/make_pyz.py [-o FILE]

The libraries are those of the environment that this script runs in; no network is asked. Some are compiled, so the file
is for this version of Python and this kind of machine; it says so elsewhere. Compiled modules cannot be loaded from an
archive: at its first start the file unpacks itself into the user's cache folder, for nobody else to write to.

What compresses images comes along if it is installed here (the extra "compress"). What reaches object stores does not.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import re
import sys
import sysconfig
import zipfile
from importlib import metadata
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("compress",)  # those of crtool that come along
DAY_ONE = (1980, 1, 1, 0, 0, 0)  # for the same file whenever it is made

MAIN = '''\
"""Unpacks crtool once into the user's cache, and runs it from there."""

import os
import sys

TAG, DIGEST = {tag!r}, {digest!r}


def fail(cause, remedy):
    print(f"crtool: {{cause}}\\n  {{remedy}}", file=sys.stderr)
    sys.exit(126)


def here():
    import sysconfig

    return f"{{sys.implementation.cache_tag}}-{{sysconfig.get_platform()}}"


def unpack():
    import shutil
    import tempfile
    import zipfile

    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = os.path.join(cache, "crtool")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    found = os.stat(folder)
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        fail(f"{{folder}} is not yours alone to write to", "set XDG_CACHE_HOME to another folder")
    place = os.path.join(folder, f"{{TAG}}-{{DIGEST}}")
    if not os.path.isdir(place):
        fresh = tempfile.mkdtemp(dir=folder)
        try:
            with zipfile.ZipFile(os.path.dirname(os.path.abspath(__file__))) as archive:
                for name in archive.namelist():
                    if name.startswith("site/"):
                        archive.extract(name, fresh)
            os.rename(os.path.join(fresh, "site"), place)
        except OSError:
            if not os.path.isdir(place):  # else another crtool was faster
                raise
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return place


if here() != TAG:
    fail(f"this file was made for {{TAG}}, and this is {{here()}}", "make one here: scripts/make_pyz.py")
try:
    sys.path[0] = unpack()
except OSError as error:
    fail(f"{{error.filename}}: {{error.strerror}}", "set XDG_CACHE_HOME to a folder that can be written")
except KeyboardInterrupt:
    os.write(2, b"crtool: interrupted by SIGINT\\n")
    os._exit(130)
from crtool.cli.entry import run

run()
'''


def libraries(
    name: str, found: dict[str, metadata.Distribution], extras: tuple[str, ...] = ()
) -> dict[str, metadata.Distribution]:
    """The distributions that *name* needs, those of its *extras* that are installed, and what these need, by name."""
    for line in metadata.requires(name) or []:
        extra = re.search(r"extra == ['\"](.*?)['\"]", line)
        if extra and extra[1] not in extras:
            continue
        wanted = re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]
        try:
            distribution = metadata.distribution(wanted)
        except metadata.PackageNotFoundError:
            continue  # for another Python or system, as its marker says, or of an extra that nobody has asked for
        if wanted not in found:
            found[wanted] = distribution
            libraries(wanted, found)
    return found


def contents() -> dict[str, bytes]:
    """Every file of the archive below site/, by its name there."""
    files = {
        str(PurePosixPath(path.relative_to(ROOT))): path.read_bytes()
        for path in (ROOT / "crtool").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    for distribution in libraries("crtool", {}, EXTRAS).values():
        for entry in distribution.files or []:
            if ".." not in entry.parts and "__pycache__" not in entry.parts and "tests" not in entry.parts:
                files[str(entry)] = Path(str(distribution.locate_file(entry))).read_bytes()
    return dict(sorted(files.items()))


def archive() -> bytes:
    """The whole file."""
    files = contents()
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name} {len(content)}\n".encode() + content)
    tag = f"{sys.implementation.cache_tag}-{sysconfig.get_platform()}"
    main = MAIN.format(tag=tag, digest=digest.hexdigest()[:16])
    out = io.BytesIO()
    out.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as made:
        for name, content in {
            "__main__.py": main.encode(),
            **{f"site/{name}": it for name, it in files.items()},
        }.items():
            made.writestr(zipfile.ZipInfo(name, DAY_ONE), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description="Make crtool.pyz, one file that runs with Python alone.")
    parser.add_argument("-o", "--output", type=Path, default=Path("crtool.pyz"), metavar="FILE")
    options = parser.parse_args()
    options.output.write_bytes(archive())
    options.output.chmod(0o755)


if __name__ == "__main__":
    main()
