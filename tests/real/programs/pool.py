"""A multiprocessing pool, started by fork: pipes between the processes, semaphores in shared memory.

While there is a file ``hold`` the workers take their time.
"""

import hashlib
import multiprocessing
import time
from pathlib import Path

TASKS, CHAIN = 400, 25000


def work(number: int) -> tuple[int, str]:
    digest = str(number).encode()
    for _ in range(CHAIN):
        digest = hashlib.sha256(digest).digest()
    if Path("hold").exists():
        time.sleep(0.05)
    with total.get_lock():
        total.value += digest[0]
    return number, digest.hex()


context = multiprocessing.get_context("fork")
total = context.Value("q", 0)

if __name__ == "__main__":
    with context.Pool(3) as pool:
        for number, digest in pool.imap(work, range(TASKS)):
            print(number, digest, flush=True)
            Path("progress").write_text(str(number))
        pool.close()
        pool.join()
    print("total", total.value)
