"""ELF core files: numbers and structures (core(5), elf(5); include/uapi/linux/elf.h, elfcore.h, fs/binfmt_elf.c)."""

from __future__ import annotations

import struct

EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
PHDR = struct.Struct("<IIQQQQQQ")  # type, flags, offset, address, physical address, size in file, in memory, alignment
SHDR = struct.Struct("<IIQQQQIIQQ")
NOTE = struct.Struct("<III")  # length of the name with its NUL, length of the content, type; each padded to 4 bytes

IDENT = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")  # 64 bits, little endian, System V
ET_CORE = 4
EV_CURRENT = 1
PT_LOAD, PT_NOTE = 1, 4
PF_X, PF_W, PF_R = 1, 2, 4
PN_XNUM = 0xFFFF  # there are more program headers than that: sh_info of section 0 says how many

NT_PRSTATUS, NT_PRFPREG, NT_PRPSINFO, NT_AUXV = 1, 2, 3, 6
NT_X86_XSTATE = 0x202
NT_FILE = 0x46494C45

# struct elf_prstatus, what stands before its registers: si_signo, si_code, si_errno, cursig, sigpend, sighold, pid,
# ppid, pgrp, sid, four struct timeval (user and system time, own and of children). Behind them stands fpvalid.
PRSTATUS_HEAD = struct.Struct("<iiihxxQQiiii64x")
PRSTATUS_TAIL = struct.Struct("<i4x")
# struct elf_prpsinfo: state, its letter, zombie, nice, flag, uid, gid, pid, ppid, pgrp, sid, name, arguments.
PRPSINFO = struct.Struct("<bcbb4xQIIiiii16s80s")
FILE_HEAD = struct.Struct("<QQ")  # number of entries, page size
FILE_ENTRY = struct.Struct("<QQQ")  # start, end, offset in pages; the names follow all entries


def note(owner: bytes, kind: int, content: bytes) -> bytes:
    """One note of a PT_NOTE segment."""
    name = owner + b"\0"
    return NOTE.pack(len(name), len(content), kind) + _padded(name) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
