"""``restart --user``: root's image comes back as somebody else, with his rights and no others."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

from .harness import processes
from .harness.command import REPOSITORY, crtool
from .test_without_root import ID, as_user, user
from .test_without_root import crtool as crtool_of_user

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")

# Says who it is; also a deleted file, which belongs to whoever makes it anew.
PROGRAM = """
import os, signal
{opened}
gone = open('gone', 'w+b'); os.unlink('gone')
def tell(*_):
    status = [line.split() for line in open('/proc/self/status')]
    found = {{line[0]: line[1:] for line in status}}
    with open('told.new', 'w') as file:
        print(*found['Uid:'], *found['Gid:'], '|', *found['Groups:'], '|', found['CapPrm:'][0], found['CapAmb:'][0],
            os.fstat(gone.fileno()).st_uid, file=file)
    os.rename('told.new', 'told')
signal.signal(signal.SIGUSR1, tell)
"""


@pytest.fixture(autouse=True)
def restarted_ends() -> Iterator[None]:
    with processes.all_ended():
        yield


@pytest.fixture
def folder() -> Iterator[Path]:
    """The user's own, where he can go: the folders of pytest are root's."""
    path = Path(tempfile.mkdtemp())
    os.chown(path, ID, ID)
    yield path
    shutil.rmtree(path)


def saved(folder: Path, opened: str = "", *options: object) -> tuple[Path, int]:
    """An image of a process of root's, as root leaves it, made with *options*, and its PID."""
    image = folder / "image"
    program = PROGRAM.format(opened=opened) + "open('ready', 'w').close()\nwhile True: signal.pause()"
    nothing = subprocess.DEVNULL
    with subprocess.Popen(  # a Python that everybody may execute
        [user().python, "-c", program], cwd=folder, stdin=nothing, stdout=nothing, stderr=nothing,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            processes.Deadline(30, "ready").wait_until((folder / "ready").exists)
            done = crtool("checkpoint", process.pid, "--kill", "-o", image, *options)
            assert 0 == done.returncode, done.stderr
        finally:
            process.kill()
    assert (0, 0o600) == (image.stat().st_uid, image.stat().st_mode & 0o777)
    return image, process.pid


def who(pid: int, folder: Path) -> str:
    os.kill(pid, signal.SIGUSR1)
    processes.Deadline(30, "an answer").wait_until((folder / "told").exists)
    return (folder / "told").read_text().strip()


NOBODY_ELSE = " ".join([str(ID)] * 8) + f" | | {'0' * 16} {'0' * 16} {ID}"


@pytest.mark.parametrize("options", [(), ("--pidns",)], ids=["here", "pidns"])
def test_everybody_is_that_user(options: tuple[str, ...], folder: Path) -> None:
    """With the old PID, though a user may not choose one, and nothing of root's."""
    image, pid = saved(folder)

    done = crtool("restart", image, "--user", ID, "--detach", "--json", *options)

    assert 0 == done.returncode, done.stderr
    found = json.loads(done.stdout)
    assert (pid, bool(options)) == (found["own_pid"], found["pidns"])
    assert f"what ran as user 0 runs as user {ID}" in done.stderr
    assert NOBODY_ELSE == who(found["pid"], folder)


@pytest.mark.parametrize("how", ["none", "lz4", "zstd"])
def test_it_is_imported_beforehand_what_the_user_cannot_read(how: str, folder: Path, tmp_path: Path) -> None:
    """crtool lies in a folder of root's, as do all modules that it has not used yet, and all packages."""
    image, pid = saved(folder, "", "--compress", how)
    assert 0 == crtool("restart", image, "--detach").returncode  # so it is to be said who has the number
    shutil.copytree(REPOSITORY / "crtool", tmp_path / "crtool")
    (tmp_path / "packages").symlink_to(Path(msgpack.__file__).parents[1])
    tmp_path.chmod(0o700)
    paths = [os.fspath(tmp_path), os.fspath(tmp_path / "packages")]
    command = [sys.executable, "-S", "-m", "crtool", "restart", image, "--user", str(ID), "--detach", "--json"]
    done = subprocess.run(
        command, cwd="/", env={**os.environ, "PYTHONPATH": ":".join(paths)}, capture_output=True, text=True, check=False
    )

    assert 0 == done.returncode, done.stderr
    assert pid == json.loads(done.stdout)["own_pid"]


def test_what_only_root_may_open_is_not_opened(folder: Path) -> None:
    secret = folder / "secret"
    secret.write_bytes(b"secret")
    secret.chmod(0o600)
    image, _ = saved(folder, "secret = open('secret', 'rb')")

    done = crtool("restart", image, "--user", ID, "--detach")
    dry = crtool("restart", image, "--user", ID, "--dry-run")

    assert [126, 126] == [done.returncode, dry.returncode]
    assert f"crtool: {secret} cannot be opened: Permission denied" == done.stderr.splitlines()[-2]
    assert done.stderr == dry.stderr
    assert 0 == crtool("restart", image, "--detach").returncode  # root may


def test_a_listening_socket(folder: Path) -> None:
    """An ordinary user may listen, but need not be granted the filter that keeps others out until all is there."""
    listening = "import socket; server = socket.create_server(('127.0.0.1', 0))\n"
    image, _ = saved(folder, f"{listening}open('port', 'w').write(str(server.getsockname()[1]))")
    port = int((folder / "port").read_text())

    done = crtool("restart", image, "--user", ID, "--detach")

    assert 0 == done.returncode, done.stderr
    socket.create_connection(("127.0.0.1", port), 10).close()


@pytest.mark.parametrize("way", ["identity", "passphrase"])
def test_keys_that_only_the_caller_may_read(way: str, folder: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    words, key, recipient = tmp_path / "words", tmp_path / "key", tmp_path / "recipient"
    words.write_text("several words of mine\n")
    subprocess.run(["age-keygen", "-o", key], check=True, capture_output=True)
    subprocess.run(["age-keygen", "-y", "-o", recipient, key], check=True, capture_output=True)
    phrase = ("--passphrase-file", words)
    lock, keys = (phrase, phrase) if way == "passphrase" else (("--encrypt-to", recipient), ("--identity", key))
    image, pid = saved(folder, "", *lock)

    without = crtool("restart", image, "--user", ID, "--detach")
    dry = crtool("restart", image, "--user", ID, "--dry-run", "--json", *keys)
    done = crtool("restart", image, "--user", ID, "--detach", "--json", *keys)

    assert 121 == without.returncode
    assert [ID] == json.loads(dry.stdout)["users"]
    assert 0 == done.returncode, done.stderr
    found = json.loads(done.stdout)
    assert pid == found["own_pid"]
    assert NOBODY_ELSE == who(found["pid"], folder)


def test_a_folder_that_root_alone_may_enter(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o700)
    (folder / "closed" / "file").touch()
    image, _ = saved(folder, "file = open('closed/file', 'rb')")

    done = crtool("restart", image, "--user", ID, "--detach")

    assert 126 == done.returncode
    assert f"{folder}/closed/file: Permission denied" in done.stderr


def test_his_own_image_needs_no_trust(folder: Path) -> None:
    image, _ = saved(folder)
    os.chown(image, ID, ID)

    assert 123 == crtool("restart", image, "--detach").returncode
    assert 0 == crtool("restart", image, "--detach", "--user", ID).returncode


def test_a_dry_run_lists_what_he_would_have(folder: Path) -> None:
    image, _ = saved(folder)

    found = json.loads(crtool("restart", image, "--user", ID, "--dry-run", "--json").stdout)

    assert ([ID], [ID], []) == (found["users"], found["groups"], found["capabilities"])


def test_an_ordinary_user_names_himself_only(folder: Path) -> None:
    """He takes over what was root's, where he may read it, and becomes nobody else."""
    image, pid = saved(folder)
    os.chown(image, ID, ID)

    other = crtool_of_user("restart", image, "--user", "root", "--detach", cwd=folder)
    himself = crtool_of_user("restart", image, "--user", ID, "--detach", "--json", cwd=folder)

    assert 121 == other.returncode
    assert "crtool may not become user root" in other.stderr
    assert 0 == himself.returncode, himself.stderr
    found = json.loads(himself.stdout)
    assert (pid, True) == (found["own_pid"], found["userns"])
    assert NOBODY_ELSE.split(" | ")[0] == who(found["pid"], folder).split(" | ")[0]


WHO_DECODES = """
import os, sys
from crtool.cli.main import main
from crtool.image.reader import ImageReader
def told(self, *words, begin=ImageReader.__init__):
    mine = [int(fd) for fd in os.listdir('/proc/self/fd')]
    names = [os.readlink(f'/proc/self/fd/{fd}') for fd in mine if os.path.exists(f'/proc/self/fd/{fd}')]
    images = len({name for name in names if name.endswith('.crt')})
    print('decodes', *os.getresuid(), os.stat('/proc/self/environ').st_uid if images > 1 else '', file=sys.stderr)
    begin(self, *words)
ImageReader.__init__ = told
sys.exit(main(sys.argv[1:]))
"""


def test_of_a_folder_nothing_is_decoded_by_root(folder: Path) -> None:
    """The newest image is damaged. While more than one is open, crtool cannot be looked at by that user."""
    images = folder / "images"
    images.mkdir(mode=0o700)
    image, pid = saved(folder)
    for number, age in ((1, 30), (2, 20), (3, 10)):
        shutil.copyfile(image, images / f"{number}.crt")
        (images / f"{number}.crt").chmod(0o600)
        times = images.stat().st_mtime - age
        os.utime(images / f"{number}.crt", (times, times))
    with (images / "3.crt").open("r+b") as file:
        file.truncate(5000)

    command = [sys.executable, "-c", WHO_DECODES, "restart", "-D", images, "--user", str(ID), "--detach", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stderr
    assert pid == json.loads(done.stdout)["own_pid"]
    assert "going back to the image before it" in done.stderr
    decoded = [line.split()[1:] for line in done.stderr.splitlines() if line.startswith("decodes")]
    assert [[str(ID)] * 3 + ["0"]] * 2 == decoded[:2]  # 3.crt and 2.crt
    assert [[str(ID)] * 3] == decoded[2:]  # the restart


def test_nobody_of_that_name(folder: Path) -> None:
    (folder / "some").touch()

    done = crtool("restart", folder / "some", "--user", "no-such-user")

    assert 120 == done.returncode
    assert done.stderr.startswith("crtool: there is no user no-such-user\n")


SETUID = """
import os
os.setresuid({real}, {effective}, {effective})
from crtool.cli.main import main
os._exit(main(['--version']))
"""


@pytest.mark.parametrize("effective", [0, ID])
def test_crtool_does_not_run_setuid(effective: int) -> None:
    """As a set-user-ID program is run: the real user is the caller, the effective one the owner of the file."""
    program = SETUID.format(real=ID if effective == 0 else 0, effective=effective)
    done = subprocess.run([user().python, "-c", program], capture_output=True, text=True, check=False, cwd="/",
        env={**os.environ, **user().environment}, stdin=subprocess.DEVNULL)  # fmt: skip

    assert 121 == done.returncode
    assert done.stderr.startswith("crtool: crtool runs with rights that its caller does not have\n")


FILE_CAPABILITIES = """
import os
from crtool.kernel import become
become.become('{user}')
from crtool.kernel.syscall import syscall
syscall('prctl', 47, 4, 0, 0, 0)  # PR_CAP_AMBIENT_CLEAR_ALL: what is left is as file capabilities give it
from crtool.cli.main import main
os._exit(main(['--version']))
"""


def test_crtool_does_not_run_with_capabilities_of_its_file() -> None:
    done = subprocess.run([user().python, "-c", FILE_CAPABILITIES.format(user=ID)], capture_output=True, text=True,
        check=False, cwd="/", env={**os.environ, **user().environment}, stdin=subprocess.DEVNULL)  # fmt: skip

    assert 121 == done.returncode
    assert done.stderr.startswith("crtool: crtool runs with capabilities that its caller does not have\n")


def test_ambient_capabilities_are_the_callers() -> None:
    command = ["setpriv", "--inh-caps=+checkpoint_restore", "--ambient-caps=+checkpoint_restore", f"--reuid={ID}",
        f"--regid={ID}", "--clear-groups", user().python, "-m", "crtool", "--version"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/",
        env={**os.environ, **user().environment}, stdin=subprocess.DEVNULL)  # fmt: skip

    assert (0, "") == (done.returncode, done.stderr)


def test_a_process_that_the_kernel_protects_is_not_touched(folder: Path) -> None:
    """The rules of ptrace(2): who has made himself undumpable is not traced by his own user, nor saved."""
    program = """
import ctypes, time
ctypes.CDLL(None).prctl(4, 0)  # PR_SET_DUMPABLE
print(flush=True)
time.sleep(60)
"""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
    with subprocess.Popen(**{**as_user(user().python, "-c", program, cwd=folder), **pipes}) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            done = crtool_of_user("checkpoint", process.pid, "--stdio", "inherit", "-o", folder / "image", cwd=folder)

            assert 121 == done.returncode, done.stderr
            assert "not permitted" in done.stderr
            assert "protects itself (PR_SET_DUMPABLE)" in done.stderr
            assert process.poll() is None
            assert not (folder / "image").exists()
        finally:
            process.kill()


MORE_RIGHTS = {
    "setuid": "it belongs to root (user 0)",
    "setgid": "its program was setuid, or protects itself",
    "capabilities": "its program was setuid, or protects itself",
}


@pytest.mark.parametrize("how", MORE_RIGHTS)
def test_a_program_with_more_rights_than_its_user(how: str, folder: Path) -> None:
    """He may end it, but neither trace nor save it; and what root has saved of it gives him no rights."""
    if os.statvfs(folder).f_flag & os.ST_NOSUID:
        pytest.skip("needs a folder for temporary files that is not mounted nosuid")
    program, image = folder / "sleep", folder / "image"
    shutil.copyfile(shutil.which("sleep") or "", program)
    program.chmod({"setuid": 0o4755, "setgid": 0o2755}.get(how, 0o755))
    if how == "capabilities":  # struct vfs_cap_data (linux/capability.h): revision 2, effective; CAP_NET_RAW
        os.setxattr(program, "security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))
    nothing = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    with subprocess.Popen(**{**as_user(str(program), "1000", cwd=folder), **nothing}) as process:
        try:
            comm = Path(f"/proc/{process.pid}/comm")
            processes.Deadline(30, "the program").wait_until(lambda: comm.read_text() == "sleep\n")
            refused = crtool_of_user("checkpoint", process.pid, "-o", image, cwd=folder)

            assert 121 == refused.returncode, refused.stderr
            assert f"crtool: PID {process.pid}: not permitted" in refused.stderr
            assert MORE_RIGHTS[how] in refused.stderr
            assert process.poll() is None
            assert not image.exists()

            done = crtool("checkpoint", process.pid, "--kill", "-o", image)
            assert 0 == done.returncode, done.stderr
        finally:
            process.kill()
    image.chmod(0o644)

    refused = crtool_of_user("restart", image, cwd=folder)

    assert 126 == refused.returncode, refused.stderr
    lacking = "had capabilities: CAP_NET_RAW" if how == "capabilities" else "ran as user"
    assert f"crtool: PID {process.pid} {lacking}" in refused.stderr
    assert not Path(f"/proc/{process.pid}").exists()
