"""Counts the primes below a limit, for some seconds: something to be checkpointed in mid-work.

    python3 primes.py LIMIT

Two processes: a worker sieves block after block and sends the primes of each down a pipe; its parent counts them,
hashes them all into one fingerprint, and says after each block how far it is. Whoever misses or repeats a single prime
prints another fingerprint.
"""

from __future__ import annotations

import hashlib
import os
import sys
from array import array
from math import isqrt

BLOCK = 100_000


def sieve(start: int, end: int, known: list[int]) -> array[int]:
    """The primes from *start* up to *end*; *known* has all up to the root of *end*."""
    prime = bytearray([1]) * (end - start)
    for divisor in known:
        if divisor * divisor >= end:
            break
        first = max(divisor * divisor, -(-start // divisor) * divisor) - start
        prime[first::divisor] = bytes(len(range(first, end - start, divisor)))
    return array("Q", (start + offset for offset, yes in enumerate(prime) if yes))


def small_primes(limit: int) -> list[int]:
    """The primes up to *limit*, by trial division."""
    known: list[int] = []
    for number in range(2, limit + 1):
        if all(number % divisor for divisor in known if divisor * divisor <= number):
            known.append(number)
    return known


def work(limit: int, pipe: int) -> None:
    """The worker: sends each block's length in bytes, and its primes."""
    known = small_primes(isqrt(limit) + 1)
    with open(pipe, "wb") as out:
        for start in range(2, limit, BLOCK):
            primes = sieve(start, min(start + BLOCK, limit), known).tobytes()
            out.write(len(primes).to_bytes(8, "little") + primes)
            out.flush()


def main() -> None:
    """Starts the worker and takes what it sends."""
    limit = int(sys.argv[1])
    receive, send = os.pipe()
    worker = os.fork()
    if worker == 0:
        os.close(receive)
        work(limit, send)
        os._exit(0)
    os.close(send)
    count = 0
    fingerprint = hashlib.sha256()
    with open(receive, "rb") as source:
        for end in range(2 + BLOCK, limit + BLOCK, BLOCK):
            primes = source.read(int.from_bytes(source.read(8), "little"))
            count += len(primes) // 8
            fingerprint.update(primes)
            print(f"{count} primes below {min(end, limit)}", flush=True)
    os.waitpid(worker, 0)
    print(f"fingerprint {fingerprint.hexdigest()[:16]}")


if __name__ == "__main__":
    main()
