"""How soon a large program runs again that is restarted lazily, beside a tiny one.

    python tests/bench/lazy.py [MIB …]        1024 4096 if none is given

From the start of `restart --lazy --detach` until the first new heartbeat, in turns with a tiny process; beside that the
same without --lazy. The image is in the page cache. Medians of five. Not a test: nothing fails here.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median

from harness import ROUNDS, Target, bench, compiled, crtool, ready_memory


def saved(program: Path, mib: int, folder: Path) -> tuple[Target, Path]:
    """A target that has been ended, and its image."""
    target, image = Target(program, mib, folder), folder / f"{mib}.crt"
    crtool("checkpoint", target.pid, "--kill", "-o", image)
    target.end()
    return target, image


def seconds(target: Target, image: Path, *words: str) -> tuple[float, float]:
    """Until its heart beats again, and of crtool's CPU time until it has returned."""
    start = time.perf_counter()
    done = crtool("restart", "--detach", *words, image)
    target.await_beat()
    took = time.perf_counter() - start
    target.end()
    return took, done.cpu


def main() -> None:
    """Prints the table."""
    with bench() as folder:
        program = compiled("heartbeat.c", folder)
        tiny = saved(program, 0, folder)
        print("  MiB           seconds    tiny      /  in pairs  CPU s    tiny      /")
        for mib in [int(word) for word in sys.argv[1:]] or [1024, 4096]:
            ready_memory(2 * mib)
            large = saved(program, mib, folder)
            for name, words in {"lazy": ("--lazy",), "eager": ()}.items():
                pairs = []
                for _ in range(ROUNDS):
                    ready_memory(mib)
                    pairs.append((*seconds(*large, *words), *seconds(*tiny, *words)))
                one, one_cpu, two, two_cpu = (median(values) for values in zip(*pairs, strict=True))
                each = median(pair[0] / pair[2] for pair in pairs)
                row = f"{mib:5}  {name:6}  {one:9.3f}  {two:6.3f}  {one / two:5.2f}  {each:8.2f}"
                print(f"{row}  {one_cpu:5.3f}  {two_cpu:6.3f}  {one_cpu / two_cpu:5.2f}", flush=True)
            large[1].unlink()


if __name__ == "__main__":
    main()
