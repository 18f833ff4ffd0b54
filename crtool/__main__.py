"""``python -m crtool``: the same as the command ``crtool``."""

from __future__ import annotations

from crtool.cli.entry import run

if __name__ == "__main__":
    run()
