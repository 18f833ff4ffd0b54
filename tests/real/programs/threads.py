"""Threads of CPython that hash, hand results round a ring of queues, and meet at barriers.

While there is a file ``hold`` they take their time.
"""

import hashlib
import queue
import threading
import time
from pathlib import Path

THREADS, ROUNDS, CHAIN = 4, 400, 2500

queues: list[queue.Queue[bytes]] = [queue.Queue() for _ in range(THREADS)]
barrier = threading.Barrier(THREADS)
results: dict[int, bytes] = {}
local = threading.local()


def work(number: int) -> None:
    local.digest = str(number).encode()
    for turn in range(ROUNDS):
        for _ in range(CHAIN):
            local.digest = hashlib.sha256(local.digest).digest()
        queues[(number + 1) % THREADS].put(local.digest)
        local.digest += queues[number].get()
        if turn % 50 == 0:
            barrier.wait()
        if number == 0:
            Path("progress").write_text(str(turn))
            if Path("hold").exists():
                time.sleep(0.03)
    results[number] = local.digest


threads = [threading.Thread(target=work, args=(number,), name=f"hash-{number}") for number in range(THREADS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for number in sorted(results):
    print(number, hashlib.sha256(results[number]).hexdigest())
