"""A tree whose processes are born and end all the time, checkpointed again and again: none fails or is harmed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import crtool

from ..live.harness.processes import Deadline, descendants, end

ROUNDS = 40

BUSY = """
n=0
while :; do
  n=$((n+1))
  r=$(echo $n | sed 's/^/x/' | tr x y)
  ( echo "$r" | cat | wc -c ) >last
  [ "$r" = "y$n" ] || echo "pipeline $n: $r"
  sort -n <(seq 50) | tail -1 | grep -q 50 || echo "substitution $n"
  echo $n >count
done >&2
"""


def test_a_shell_with_pipelines(tmp_path: Path) -> None:
    others = descendants()
    null = subprocess.DEVNULL
    with (tmp_path / "errors").open("wb") as errors:
        shell = subprocess.Popen(["bash", "-c", BUSY], cwd=tmp_path, stdin=null, stdout=null, stderr=errors)
    try:
        Deadline(30, "the first round").wait_until((tmp_path / "count").exists)
        for _ in range(ROUNDS):
            crtool.checkpoint(shell.pid, tmp_path / "image.crt", force=True)
        before = (tmp_path / "count").read_text()
        Deadline(30, "the shell to go on").wait_until(lambda: (tmp_path / "count").read_text() not in ("", before))

        assert b"" == (tmp_path / "errors").read_bytes()
    finally:
        shell.kill()
        shell.wait()
        while left := descendants() - others:  # what it had just started has come to this process
            end(left)
