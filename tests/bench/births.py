"""What a tree of many processes costs, beside as many plain births in Python (os.fork and os.waitpid) in the same run.

    python tests/bench/births.py [PROCESSES]        1000 if it is not given

A restart is to cost at most five times what the plain births do. Not a test: nothing fails here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from crtool.engine.checkpoint import checkpoint
from crtool.engine.restart import restart
from crtool.kernel.prctl import child_subreaper

HERE = Path(__file__).parent


def reap_everybody() -> None:
    """Waits for all children, who are dying."""
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def plain_births(count: int) -> float:
    """Seconds that *count* births and deaths of this process's children take."""
    start = time.perf_counter()
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    return time.perf_counter() - start


def main(count: int) -> None:
    """Prints the figures."""
    with tempfile.TemporaryDirectory() as folder, child_subreaper():
        program, said, image = f"{folder}/children", Path(folder, "said"), f"{folder}/children.crt"
        subprocess.run(["gcc", "-O1", "-o", program, str(HERE / "children.c")], check=True)
        with open(said, "wb") as out:
            root = subprocess.Popen(
                [program, str(count)], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            ).pid
        while said.read_bytes() != b"ready\n":
            time.sleep(0.01)
        saved = checkpoint(root, image, leave="killed")
        reap_everybody()
        plain = plain_births(count)
        result = restart(image, detach=True, pidns=False)
        stages = ", ".join(f"{name} {seconds:.2f}" for name, seconds in result.stages.items())
        print(f"{count} processes: saved in {saved.wall_seconds:.2f} s, frozen for {saved.frozen_seconds:.2f} s")
        print(f"plain births {count / plain:.0f} per second, {plain:.2f} s")
        print(f"restart {count / result.wall_seconds:.0f} per second, {result.wall_seconds:.2f} s ({stages})")
        print(f"restart ÷ plain births: {result.wall_seconds / plain:.1f}")
        os.kill(root, signal.SIGSTOP)
        children = Path(f"/proc/{root}/task/{root}/children").read_text().split()
        for pid in (*map(int, children), root):
            os.kill(pid, signal.SIGKILL)
        reap_everybody()


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 1000)
