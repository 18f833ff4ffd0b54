"""What a tree costs whose processes share memory since a fork: the image, the restart, and what is shared after it.

    python tests/bench/fork_sharing.py [PROCESSES [MIB]]        200 of 20 MiB if it is not given

The unique memory is what all have together by Pss, without what is a file's. Beside it: what plain births of so many
processes take that have the same memory (prefork itself, from its start until all are there). At the end each process
looks whether its memory is as it was. Not a test: nothing fails here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from harness import ROUNDS, bench, compiled, crtool, python, ready_memory, reap


def unique(root: int) -> int:
    """Bytes of private and shared anonymous memory that the tree has, each page once."""
    children = Path(f"/proc/{root}/task/{root}/children").read_text().split()
    return 1024 * sum(
        int(line.split()[1])
        for pid in (root, *children)
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        if line.startswith("Pss_Anon:")
    )


def main(count: int, mib: int) -> None:
    """Prints the figures."""
    with bench() as folder:
        program, image, said = compiled("prefork.c", folder), folder / "image.crt", folder / "said"
        ready_memory(count * mib // 4)
        births = time.perf_counter()
        command = [program, str(count), str(mib)]
        with open(said, "wb") as out:
            root = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, start_new_session=True).pid
        while said.read_bytes() != b"ready\n":
            time.sleep(0.001)
        births = time.perf_counter() - births
        before = unique(root)
        saved = [crtool("checkpoint", root, "-f", "-o", image) for _ in range(ROUNDS)]
        crtool("checkpoint", root, "-f", "-o", image, "--kill")
        reap()
        back, after, statuses = [], [], []
        for _ in range(ROUNDS):
            back.append(crtool("restart", "--detach", image))
            after.append(unique(root))
            os.kill(root, signal.SIGTERM)
            statuses.append(os.waitstatus_to_exitcode(os.waitpid(root, 0)[1]))
            reap()
        size, start = image.stat().st_size, python()
        wall = median(one.wall for one in back)
        print(f"{count} processes that share {mib} MiB; born in {births:.2f} s; python3 -c pass takes {start:.3f} s")
        print(f"unique memory {before / 2**20:.1f} MiB, image {size / 2**20:.1f} MiB: {size / before:.3f}")
        print(
            f"checkpoint {median(one.wall for one in saved):.2f} s (CPU {median(one.cpu for one in saved):.2f}), "
            f"frozen {1000 * median(one.said['frozen_seconds'] for one in saved):.0f} ms"
        )
        print(f"restart {wall:.2f} s (CPU {median(one.cpu for one in back):.2f}), / births {wall / births:.1f}")
        print(f"Pss after the restart / before: {median(after) / before:.3f}")
        print(f"each had its memory: {'yes' if not any(statuses) else f'no, {statuses}'}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:] + ["200", "20"][len(sys.argv) - 1 :]))
