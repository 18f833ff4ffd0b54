"""Terminals: requests of ioctl(2), struct termios2, struct winsize (include/uapi/asm-generic/{ioctls,termbits}.h).

The standard library has most of the numbers, but not struct termios2, which alone holds every speed.
"""

from __future__ import annotations

import struct

TCGETS2 = 0x802C542A
TCSETS2 = 0x402C542B
TCSETSF2 = 0x402C542D
TCXONC = 0x540A
TIOCEXCL = 0x540C
TIOCSCTTY = 0x540E
TIOCGPGRP = 0x540F
TIOCSPGRP = 0x5410
TIOCGWINSZ = 0x5413
TIOCSWINSZ = 0x5414
FIONREAD = 0x541B
TIOCPKT = 0x5420
TIOCNOTTY = 0x5422
TIOCGETD = 0x5424
TIOCGSID = 0x5429
TIOCGPTN = 0x80045430
TIOCSPTLCK = 0x40045431
TIOCGDEV = 0x80045432
TIOCGPKT = 0x80045438
TIOCGPTLCK = 0x80045439
TIOCGEXCL = 0x80045440
TIOCGPTPEER = 0x5441

TCOON = 1
TCOOFF = 0

# c_iflag, c_oflag, c_cflag, c_lflag, c_line, c_cc[19], c_ispeed, c_ospeed
TERMIOS2 = struct.Struct("<IIIIB19sII")
WINSIZE = struct.Struct("<HHHH")  # rows, columns, width and height in pixels

# c_iflag
IUTF8 = 0x4000
IXON = 0x0400
# c_oflag
OPOST = 0x0001
# c_lflag
ICANON = 0x0002
EXTPROC = 0x10000

# Indices into c_cc
VEOF = 4
VTIME = 5
VMIN = 6

N_TTY = 0  # the line discipline that all these belong to

# Major device numbers (Documentation/admin-guide/devices.txt).
MAJOR_VIRTUAL_CONSOLE = 4  # and serial lines
MAJOR_ALTERNATE = 5
MINOR_TTY = 0  # /dev/tty
MINOR_PTMX = 2  # /dev/ptmx
MAJORS_PTS = range(136, 144)
