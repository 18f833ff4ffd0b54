import pytest

from crtool.procfs.error import ProcfsError
from crtool.procfs.sysvipc import Listed, parse

SEGMENTS = b"""       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime
1544742629      32768   640                  8192   411   412      2     0     0     0     0 1795741789
-889275714          1   600                  4096   411     0      0     0     0     0     0          0
"""
SEMAPHORES = b"       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n"


def test_objects_with_who_used_them():
    expected = (Listed(32768, 1544742629, (411, 412)), Listed(1, 0xCAFEBABE, (411, 0)))

    assert expected == parse(SEGMENTS)


def test_no_objects():
    assert () == parse(SEMAPHORES)


@pytest.mark.parametrize("data", [b"", b"key perms\n", SEMAPHORES + b"1 2 3\n"])
def test_what_is_no_table_of_objects(data):
    with pytest.raises(ProcfsError):
        parse(data)
