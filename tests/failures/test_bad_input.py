"""What must not work, on the command line: one line of cause, the right status, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from crtool.engine.checkpoint import checkpoint
from crtool.engine.restart import restart
from crtool.engine.results import Progress
from crtool.errors import CrtoolError, EnvironmentDiffers
from crtool.image.header import HEADER_LENGTH, VERSION, judge
from crtool.image.reader import ImageReader
from crtool.image.writer import ImageWriter

CHECKPOINT_STATUS = {"usage": 120, "target": 121, "obstacle": 122, "image": 123, "environment": 126, "missing": 127}


def crtool(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Runs the command line tool, without a terminal and without anything on standard input."""
    command = [sys.executable, "-m", "crtool", *map(str, arguments)]
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False, **options
    )


def refused(done: subprocess.CompletedProcess[str], kind: str, *words: str) -> None:
    """Asserts the status, one line of cause that has *words*, at most one of remedy, and no stack trace."""
    lines = done.stderr.splitlines()

    assert CHECKPOINT_STATUS[kind] == done.returncode, done.stderr
    assert lines[0].startswith("crtool: ")
    assert len(lines) <= 2
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in lines[0]


def runs_on(process: subprocess.Popen[bytes]) -> bool:
    """Whether the target lives, untraced and not stopped; who has just been let go goes back to sleep in a moment."""
    until = time.monotonic() + 5
    while process.poll() is None and time.monotonic() < until:
        status = Path(f"/proc/{process.pid}/status").read_text()
        if "TracerPid:\t0" in status and "State:\tS" in status:
            return True
        time.sleep(0.002)
    return False


@pytest.fixture
def image(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> Path:
    """A good image of the sleeper, which has been killed and waited for."""
    path = tmp_path / "good.crt"
    done = crtool("checkpoint", sleeper.pid, "--kill", "-o", path)
    assert done.returncode == 0, done.stderr
    sleeper.wait()
    return path


# -- targets ----------------------------------------------------------------------------------------------


def test_a_pid_that_does_not_exist(tmp_path: Path) -> None:
    child = subprocess.Popen(["true"])
    child.wait()

    refused(crtool("checkpoint", child.pid, "-o", tmp_path / "x"), "target", "no process", str(child.pid))
    assert not list(tmp_path.iterdir())


def test_a_kernel_thread() -> None:
    refused(crtool("checkpoint", 2), "target", "kernel thread", "kthreadd")


def test_a_thread(tmp_path: Path) -> None:
    code = "import threading, time; threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()"
    program = f"{code}; print('ready', flush=True); time.sleep(1000)"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        tid = next(int(tid) for tid in os.listdir(f"/proc/{process.pid}/task") if int(tid) != process.pid)

        refused(crtool("checkpoint", tid, "-o", tmp_path / "x"), "target", "thread of PID", str(process.pid))
    finally:
        process.kill()
        process.wait()


def test_an_ancestor_of_crtool() -> None:
    refused(crtool("checkpoint", os.getpid()), "target", "ancestor")


def test_crtool_itself() -> None:
    script = f'exec {sys.executable} -m crtool checkpoint $$'
    done = subprocess.run(["sh", "-c", script], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    refused(done, "target", "crtool itself")


def test_a_zombie(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

        refused(crtool("checkpoint", pid, "-o", tmp_path / "x"), "target", "zombie")
    finally:
        os.waitpid(pid, 0)


def test_somebody_elses_process(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """As nobody, in a child: nobody may not even read where this Python is installed."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            tmp_path.chmod(0o777)
            os.chdir(tmp_path)
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            checkpoint(sleeper.pid, "x")
        except CrtoolError as error:
            status = error.status
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)

    assert CHECKPOINT_STATUS["target"] == os.waitstatus_to_exitcode(status)
    assert runs_on(sleeper)
    assert not list(tmp_path.iterdir())


def test_a_process_that_is_traced_already(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """The tracer is named."""
    tracer = subprocess.Popen(["strace", "-o", os.devnull, "-p", str(sleeper.pid)], stderr=subprocess.PIPE)
    try:
        assert tracer.stderr is not None
        tracer.stderr.readline()  # "strace: Process … attached"

        refused(crtool("checkpoint", sleeper.pid, "-o", tmp_path / "x"), "obstacle", str(tracer.pid), "strace")
    finally:
        tracer.terminate()
        tracer.wait()
    assert not list(tmp_path.iterdir())


def test_all_obstacles_at_once(tmp_path: Path) -> None:
    """A program with two pipes to somebody else hears of both, and is not touched."""
    ends = [os.pipe(), os.pipe()]
    null = subprocess.DEVNULL
    theirs = [end for _, end in ends]
    process = subprocess.Popen(
        ["sleep", "1000"], stdin=null, stdout=null, stderr=null, pass_fds=theirs, start_new_session=True
    )
    try:
        while Path(f"/proc/{process.pid}/comm").read_text() != "sleep\n":
            pass
        done = crtool("checkpoint", process.pid, "-o", tmp_path / "x")

        assert done.returncode == CHECKPOINT_STATUS["obstacle"]
        assert 2 == done.stderr.count(f"a pipe whose reading end PID {os.getpid()} ")
        assert runs_on(process)
        assert not (tmp_path / "x").exists()
    finally:
        process.kill()
        process.wait()
        for fd in sum(ends, ()):
            os.close(fd)


# -- places ------------------------------------------------------------------------------------------------


def test_an_image_that_exists_is_kept(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("precious")

    refused(crtool("checkpoint", sleeper.pid, "--kill", "-o", path), "usage", str(path))
    assert path.read_text() == "precious"
    assert runs_on(sleeper)


def test_a_folder_that_is_not_there(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    refused(crtool("checkpoint", sleeper.pid, "--kill", "-o", tmp_path / "no" / "x"), "environment", "no")
    assert runs_on(sleeper)


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    """A file system that is mounted read-only: root may write to everything else."""
    script = """
        mount -t tmpfs -o ro none "$1" || exit 1
        sleep 1000 </dev/null >/dev/null 2>&1 &
        while [ "$(cat /proc/$!/comm)" != sleep ]; do :; done
        "$2" -m crtool checkpoint $! --kill -o "$1/image"
        echo $?
        kill $! && echo alive
    """
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(tmp_path), sys.executable],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.stdout.split() == ["126", "alive"], done.stderr
    assert "read-only" in done.stderr


def test_a_folder_that_vanishes_meanwhile(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """The folder is there when crtool looks, and is not when the image is to get its name."""
    folder = tmp_path / "folder"
    folder.mkdir()

    def vanish(_progress: Progress) -> None:
        if folder.exists():
            folder.rmdir()

    with pytest.raises(CrtoolError) as raised:
        checkpoint(sleeper.pid, folder / "image", leave="killed", progress=vanish)

    assert CHECKPOINT_STATUS["environment"] == raised.value.status
    assert str(folder) in raised.value.message
    assert runs_on(sleeper)
    assert not list(tmp_path.iterdir())


def test_no_space_left(tmp_path: Path) -> None:
    """A file system of 64 KiB, in a mount namespace that crtool shares with its target."""
    script = """
        mount -t tmpfs -o size=64k none "$1" && cd "$1" || exit 1
        sleep 1000 </dev/null >/dev/null 2>&1 &
        while [ "$(cat /proc/$!/comm)" != sleep ]; do :; done
        "$2" -m crtool checkpoint $! --kill -o image
        echo $? $(ls)
        kill $! && echo alive
    """
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(tmp_path), sys.executable],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.stdout.split() == ["126", "alive"], done.stderr
    assert "no space is left" in done.stderr


# -- images ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["restart", "verify", "show"])
def test_an_image_that_is_not_there(verb: str, tmp_path: Path) -> None:
    refused(crtool(verb, tmp_path / "none.crt"), "missing", "none.crt")


@pytest.mark.parametrize("verb", ["restart", "verify", "show"])
def test_an_empty_image(verb: str, tmp_path: Path) -> None:
    path = tmp_path / "empty.crt"
    path.touch()

    refused(crtool(verb, path), "image", "empty.crt")


def test_a_damaged_image_is_refused_before_anything_is_born(image: Path) -> None:
    content = bytearray(image.read_bytes())
    for position in (20, 5000, len(content) // 2, len(content) - 10):
        damaged = image.with_name("damaged.crt")
        damaged.write_bytes(content[:position] + bytes([content[position] ^ 0x10]) + content[position + 1 :])

        refused(crtool("restart", damaged, "--detach"), "image", "damaged.crt")


def test_an_image_that_was_cut(image: Path) -> None:
    content = image.read_bytes()
    for length in (1, 4096, 6000, len(content) - 1):
        cut = image.with_name("cut.crt")
        cut.write_bytes(content[:length])

        refused(crtool("restart", cut, "--detach"), "image", "cut.crt")


def with_header(image: Path, **changes: object) -> Path:
    """A copy of *image* whose header says something else, with a checksum that is right."""
    content = image.read_bytes()
    header = replace(judge(content[:HEADER_LENGTH], "image"), **changes)  # type: ignore[arg-type]
    other = image.with_name("other.crt")
    other.write_bytes(header.pack() + content[HEADER_LENGTH:])
    return other


@pytest.mark.parametrize("verb", ["restart", "verify", "show"])
def test_an_image_of_a_newer_version(image: Path, verb: str) -> None:
    newer = with_header(image, version=VERSION + 1)

    refused(crtool(verb, newer), "image", "other.crt", f"version {VERSION + 1}", f"version {VERSION}")


def test_an_image_of_another_cpu(image: Path) -> None:
    other = "aarch64" if os.uname().machine == "x86_64" else "x86_64"

    path = image.with_name("other.crt")
    with ImageReader.open(image) as good, ImageWriter.create(path) as foreign:
        foreign.begin(cpu=other, page_size=4096, records=good.records, data_length=0)
        foreign.finish()

    refused(crtool("restart", path, "--detach"), "environment", "other.crt", other, os.uname().machine)


def test_an_image_of_a_cpu_with_more_registers(
    image: Path, sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found out when the root has been born; it is gone again before anything of the program runs."""
    monkeypatch.setattr("crtool.arch.x86_64.xfeatures", lambda fpu: 0b11)

    with pytest.raises(EnvironmentDiffers, match="XSAVE features"):
        restart(image, detach=True)
    with pytest.raises(ProcessLookupError):
        os.kill(sleeper.pid, 0)


# -- restarts ----------------------------------------------------------------------------------------------


def test_a_pid_that_is_taken_is_named_with_its_holder(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    path = tmp_path / "x.crt"
    assert crtool("checkpoint", sleeper.pid, "-o", path).returncode == 0

    refused(crtool("restart", path, "--detach", "--no-pidns"), "environment", f"PID {sleeper.pid} is now sleep")
    assert runs_on(sleeper)


def test_a_zombie_that_has_the_pid_is_named_with_its_parent(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    path = tmp_path / "x.crt"
    assert crtool("checkpoint", sleeper.pid, "--kill", "-o", path).returncode == 0

    words = f"PID {sleeper.pid} is a zombie waiting for its parent {os.getpid()}"
    refused(crtool("restart", path, "--detach", "--no-pidns"), "environment", words)


@pytest.fixture
def reader_of_a_file(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A program that has a file open for reading."""
    data = tmp_path / "data"
    data.write_text("0123456789")
    with open(data, "rb") as file:
        null = subprocess.DEVNULL
        process = subprocess.Popen(["sleep", "1000"], stdin=file, stdout=null, stderr=null, start_new_session=True)
    try:
        yield process, data
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("change", ["gone", "longer"])
def test_a_file_that_has_changed(
    reader_of_a_file: tuple[subprocess.Popen[bytes], Path], change: str, tmp_path: Path
) -> None:
    process, data = reader_of_a_file
    path = tmp_path / "x.crt"
    assert crtool("checkpoint", process.pid, "--kill", "-o", path).returncode == 0
    process.wait()
    if change == "gone":
        data.unlink()
    else:
        data.write_text("0123456789abcdef")

    done = crtool("restart", path, "--detach")

    refused(done, "environment", str(data), *(["10", "16"] if change == "longer" else []))
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_a_pidfile_that_cannot_be_written(image: Path, sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """Nothing is left of what was nearly restored."""
    refused(crtool("restart", image, "--detach", "--pidfile", tmp_path / "no" / "pid"), "environment", "pid")
    with pytest.raises(ProcessLookupError):
        os.kill(sleeper.pid, 0)


def test_a_waiting_restart_ends_as_the_program_ends(image: Path, sleeper: subprocess.Popen[bytes]) -> None:
    """By the same signal, here; the signal is sent to crtool, which forwards it."""
    command = [sys.executable, "-m", "crtool", "restart", str(image)]
    waiting = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while not os.path.exists(f"/proc/{sleeper.pid}/exe") or "sleep" not in os.readlink(f"/proc/{sleeper.pid}/exe"):
        assert waiting.poll() is None
    while f"TracerPid:\t{waiting.pid}" in Path(f"/proc/{sleeper.pid}/status").read_text():
        pass
    waiting.send_signal(signal.SIGTERM)
    waiting.communicate(timeout=30)

    assert waiting.returncode == -signal.SIGTERM


def test_a_timeout_lets_the_target_go(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    done = crtool("checkpoint", sleeper.pid, "--timeout", "0.000001", "--kill", "-o", tmp_path / "x")

    assert done.returncode == 124, done.stderr
    assert runs_on(sleeper)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("owner", "mode", "why"), [(65534, 0o600, "belongs to user 65534"), (0, 0o620, "by others")])
def test_an_image_that_others_can_write(
    sleeper: subprocess.Popen[bytes], tmp_path: Path, owner: int, mode: int, why: str
) -> None:
    image = tmp_path / "image.crt"
    crtool("checkpoint", sleeper.pid, "--kill", "-o", image)
    sleeper.wait()
    os.chown(image, owner, 0)
    image.chmod(mode)
    refused(crtool("restart", "-d", image), "image", why)
    with image.open("rb") as file:
        command = [sys.executable, "-m", "crtool", "restart", "-d", "-"]
        by_descriptor = subprocess.run(command, stdin=file, capture_output=True, text=True)
    trusted = crtool("restart", "-d", "--trust", image)
    os.kill(sleeper.pid, signal.SIGKILL)
    os.waitpid(sleeper.pid, 0)

    assert (CHECKPOINT_STATUS["image"], True) == (by_descriptor.returncode, why in by_descriptor.stderr)
    assert 0 == trusted.returncode


@pytest.mark.parametrize(("owner", "mode", "why"), [(65534, 0o600, "belongs to user 65534"), (0, 0o622, "by others")])
def test_an_image_from_a_named_pipe_of_others(
    sleeper: subprocess.Popen[bytes], tmp_path: Path, owner: int, mode: int, why: str
) -> None:
    """A FIFO has an owner and a mode; by name and as standard input. A pipe has none."""
    image, fifo = tmp_path / "image.crt", tmp_path / "fifo.crt"
    crtool("checkpoint", sleeper.pid, "--kill", "-o", image)
    sleeper.wait()
    os.mkfifo(fifo)
    os.chown(fifo, owner, 0)
    fifo.chmod(mode)
    restart = f"{sys.executable} -m crtool restart -d"
    found = []
    for script in (
        # The next one must not read what this one's cat still writes.
        f"cat {image} >{fifo} & {restart} {fifo}; status=$?; wait; exit $status",
        f"cat {image} >{fifo} & {restart} - <{fifo}; status=$?; wait; exit $status",
        f"cat {image} | {restart} -",
    ):
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
        found.append((done.returncode, why in done.stderr))
    os.kill(sleeper.pid, signal.SIGKILL)
    os.waitpid(sleeper.pid, 0)

    refused = (CHECKPOINT_STATUS["image"], True)
    assert [refused, refused, (0, False)] == found


@pytest.mark.parametrize("end", ["--kill", "--leave-stopped"])
@pytest.mark.parametrize(
    ("reader", "status", "said"),
    [
        ("{crtool} restart -d --require-signature {key} -", 126, "the reader of the pipe has ended"),
        ("sleep 7", 124, "did not end in the time given"),
    ],
    ids=["refuses", "waits"],
)
def test_a_reader_who_does_not_take_the_image(
    sleeper: subprocess.Popen[bytes], tmp_path: Path, end: str, reader: str, status: int, said: str
) -> None:
    """The image fits into the pipe, and is not safe there."""
    key, told = tmp_path / "key", tmp_path / "told"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    crtool = f"{sys.executable} -m crtool"
    takes = reader.format(crtool=crtool, key=f"{key}.pub")
    script = f"({crtool} checkpoint {sleeper.pid} {end} --timeout 4 -o - 2>{told}; echo $? >>{told}) | {takes}"
    subprocess.run(["sh", "-c", script], stderr=subprocess.DEVNULL, check=False, timeout=100)

    *lines, ended = told.read_text().splitlines()
    assert status == int(ended)
    assert said in "".join(lines)
    assert runs_on(sleeper)


def test_rights_that_the_caller_does_not_have() -> None:
    code = "import os, sys; from crtool.cli.main import main; os.seteuid(65534); sys.exit(main(['check']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (121, "") == (done.returncode, done.stdout)
    assert "crtool: crtool runs with rights that its caller does not have\n" in done.stderr


def test_standard_output_that_is_full() -> None:
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "crtool", "--help"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)

    expected = "crtool: standard output cannot be written: No space left on device\n  make room there, or redirect it\n"
    assert (126, expected) == (done.returncode, done.stderr)


@pytest.mark.parametrize(
    ("output", "status", "said"),
    [
        ("", 120, "an empty name: an image needs the name of a file"),
        ("/dev/null", 120, "/dev/null: is no regular file and will not be replaced"),
        ("/tmp", 120, "/tmp: is no regular file and will not be replaced"),
        ("/proc/image.crt", 126, "/proc/image.crt: cannot be written: no permission to write there"),
    ],
)
def test_places_where_no_image_can_be(
    sleeper: subprocess.Popen[bytes], output: str, status: int, said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "crtool", "checkpoint", str(sleeper.pid), "-o", output], capture_output=True, text=True
    )

    assert status == done.returncode
    assert said in done.stderr
