"""The root of a tree that holds a pseudoterminal and types, slowly, into the vim at its other end.

argv: the file to edit. While there is a file ``hold`` the typing is slow. What vim draws is read and counted, as
a terminal would; the numbers depend on timing and are not printed.
"""

import os
import select
import sys
from pathlib import Path

KEYS = (
    [f"Goline number {number} comes here\x1b" for number in range(1, 31)]
    + [":%s/number \\([0-9]*\\)/\\=printf('NUMBER %04d', submatch(1)*7)/g\r"]
    + ["gg", "10dd", "p", "5Gyyp", "u", "u", "\x12"]
    + ["qaA!\x1bjq", "20@a", "ggVGgU", ":1,5sort! \r", ":w\r", "Golast\x1b", ":wq\r"]
)

pid, master = os.forkpty()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.execvp("vim", ["vim", "-u", "NONE", "-i", "NONE", "-N", sys.argv[1]])


def draw(seconds: float) -> int:
    """Take in what vim draws until it has been quiet for *seconds*, or has gone: the number of bytes."""
    drawn = 0
    while select.select([master], [], [], seconds)[0]:
        try:
            drawn += len(os.read(master, 65536))
        except OSError:
            break
    return drawn


drawn = draw(0.5)
for number, keys in enumerate(KEYS):
    os.write(master, keys.encode())
    Path("progress").write_text(str(number))
    drawn += draw(0.5 if Path("hold").exists() else 0.1)
while more := draw(1):
    drawn += more
print("vim ended with", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), "and has drawn something:", drawn > 0)
