"""Moving a tree to another host: by a real sshd on this one, and by connections that break at a chosen moment."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from .harness.processes import Deadline, descendants, end

CRTOOL = [sys.executable, "-m", "crtool"]
# One that waits for the answer to the last word no longer than this.
_IMPATIENT = "import crtool.engine.migrate as it; it._PATIENCE = 2; from crtool.cli.main import run; run()"
IMPATIENT = [sys.executable, "-c", _IMPATIENT]
SSHD = "/usr/sbin/sshd"

# Says who it is, and how far it has counted in memory, whenever it is asked.
_COUNTER = """
import os, signal, time
count = 0
def told(number, frame):
    with open("said", "a") as file:
        print(os.path.basename(os.readlink("/proc/self/ns/pid")), os.getpid(), count, file=file)
signal.signal(signal.SIGUSR1, told)
print("ready", flush=True)
while True:
    count += 1
    time.sleep(0.001)
"""

# A connection to this very host, that is cut when MODE says so, or does what is behind its "-"; it is executed as: MODE
# HOST COMMAND.
_PROXY = """
import os, signal, subprocess, sys, threading, time
mode, _, command = sys.argv[1:]
there = subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
def onward():
    left = 500_000 if mode == "image" else 1 << 60
    while data := os.read(0, 65536):
        left -= len(data)
        if left < 0:
            os._exit(255)
        view = memoryview(data)
        while view:
            view = view[os.write(there.stdin.fileno(), view):]
    there.stdin.close()
sender = threading.Thread(target=onward, daemon=True)
sender.start()
crtool = os.getppid()
for line in there.stdout:
    moment, _, what = mode.partition("-")
    if line.startswith(b'{"' + moment.encode()):
        if what == "silence":
            sender.join()
            break
        if what in ("interrupt", "broken"):
            os.kill(crtool, signal.SIGINT)
            time.sleep(0.2)
        if what == "kill":
            os.kill(crtool, signal.SIGKILL)
        if what in ("", "broken"):
            os._exit(255)
        if what == "nonsense":
            line = b'{"running": {"pid": 7, "warnings": "none"}}\\n'
        if what == "refusal":
            line = b'{"failed": {"status": 126, "message": "no", "remedy": "none"}}\\n'
    os.write(1, line)
there.wait()
"""


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    before = descendants()
    with open(tmp_path / "out", "wb") as out:
        process = subprocess.Popen([sys.executable, "-c", _COUNTER], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   cwd=tmp_path, start_new_session=True)  # fmt: skip
    Deadline(30, "ready").wait_until(lambda: (tmp_path / "out").read_text() == "ready\n")
    yield process
    end(descendants() - before)
    process.wait()


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The command by which ssh reaches a server of our own."""
    if not os.path.exists(SSHD) or shutil.which("ssh") is None:
        pytest.skip("openssh-server is not installed")
    folder = tmp_path_factory.mktemp("ssh")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
        f"StrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile {folder}/pid\nPasswordAuthentication no\n"
    )
    os.makedirs("/run/sshd", exist_ok=True)
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "config"], stdin=subprocess.DEVNULL, stdout=log,
                                  stderr=log, start_new_session=True)  # fmt: skip
    Deadline(30, "sshd").wait_until(lambda: b"Server listening" in (folder / "log").read_bytes())
    yield (
        f"ssh -F /dev/null -T -p {port} -i {folder}/user -o StrictHostKeyChecking=no -o LogLevel=ERROR "
        f"-o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes -o BatchMode=yes"
    )
    server.terminate()
    server.wait()


def migrate(
    pid: int, ssh: str, *options: str, crtool: Sequence[str] = CRTOOL
) -> subprocess.CompletedProcess[str]:
    command = [*crtool, "migrate", "--ssh", ssh, "--remote-crtool", f"{sys.executable} -m crtool", *options]
    return subprocess.run(
        [*command, str(pid), "127.0.0.1"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100,
        check=False,
    )  # fmt: skip


def asked(pid: int, folder: Path) -> tuple[str, int, int]:
    """What the counter says of itself: PID namespace, PID, and how far it is."""
    said = folder / "said"
    said.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR1)
    Deadline(30, f"word of PID {pid}").wait_until(lambda: said.exists() and said.read_text().endswith("\n"))
    space, number, count = said.read_text().split()
    return space, int(number), int(count)


def copies(pid: int) -> list[int]:
    """Who believes to be *pid* in another PID namespace."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            text = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            continue
        numbers = text.partition("NSpid:")[2].partition("\n")[0].split()
        if len(numbers) == 2 and int(numbers[1]) == pid and "\nTracerPid:\t0\n" in text:
            found.append(process.pid)
    return found


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_it_goes_on_there_and_has_ended_here(counter: subprocess.Popen[bytes], ssh: str, tmp_path: Path) -> None:
    before = asked(counter.pid, tmp_path)
    done = migrate(counter.pid, ssh, "--pidns", "--json")

    assert 0 == done.returncode, done.stderr
    result = json.loads(done.stdout)
    assert -signal.SIGKILL == counter.wait(30)
    assert copies(counter.pid) == [result["remote_pid"]]
    after = asked(result["remote_pid"], tmp_path)
    assert (counter.pid, True) == (after[1], after[2] > before[2])
    assert before[0] != after[0]


def test_what_fails_there_is_said_and_it_goes_on_here(
    counter: subprocess.Popen[bytes], ssh: str, tmp_path: Path
) -> None:
    asked(counter.pid, tmp_path)
    for status, message, how, options in (
        (126, f"crtool: 127.0.0.1: PID {counter.pid} ", ssh, ("--no-pidns",)),
        (126, "crtool: 127.0.0.1: there is no crtool", ssh, ("--remote-crtool", "/nix/crtool")),
        (126, "crtool: 127.0.0.1: its crtool did not answer as one should", ssh, ("--remote-crtool", "true")),
        (126, "crtool: 127.0.0.1 cannot be reached", ssh.replace(" -p ", " -o Port=1 -p "), ()),
        (127, "crtool: /nix/ssh cannot be executed: No such file or directory", "/nix/ssh", ()),
    ):
        done = migrate(counter.pid, how, *options)
        assert (status, True) == (done.returncode, message in done.stderr), done.stderr
    assert counter.poll() is None
    assert asked(counter.pid, tmp_path)[1] == counter.pid
    Deadline(30, "the end of all others").wait_until(lambda: not copies(counter.pid))


@pytest.fixture
def proxy(tmp_path: Path) -> str:
    (tmp_path / "proxy.py").write_text(_PROXY)
    return f"{sys.executable} {tmp_path}/proxy.py"


@pytest.mark.parametrize("moment", ["image", "ready"])
def test_before_the_last_word_it_goes_on_here(
    counter: subprocess.Popen[bytes], proxy: str, tmp_path: Path, moment: str
) -> None:
    done = migrate(counter.pid, f"{proxy} {moment}", "--pidns")

    assert 126 == done.returncode, done.stderr
    assert f"the connection to 127.0.0.1 broke; PID {counter.pid} goes on here" in done.stderr
    assert asked(counter.pid, tmp_path)[1] == counter.pid
    collect()
    Deadline(30, "the end of the other").wait_until(lambda: not copies(counter.pid))


@pytest.mark.parametrize("moment", ["running", "running-broken", "running-nonsense", "running-silence"])
def test_between_word_and_answer_it_is_stopped_here_and_said(
    counter: subprocess.Popen[bytes], proxy: str, tmp_path: Path, moment: str
) -> None:
    """With -broken crtool is also interrupted; -silence is an answer that does not come."""
    silent = moment == "running-silence"
    done = migrate(counter.pid, f"{proxy} {moment}", "--pidns", crtool=IMPATIENT if silent else CRTOOL)

    assert 126 == done.returncode, done.stderr
    assert f"whether it does is not known, and PID {counter.pid} is left stopped here" in done.stderr
    assert f"  if it runs on 127.0.0.1: kill -KILL {counter.pid}; if not: kill -CONT {counter.pid}\n" in done.stderr
    assert "T" == state(counter.pid)
    Deadline(30, "the copy").wait_until(lambda: bool(copies(counter.pid)))
    (copy,) = copies(counter.pid)
    assert asked(copy, tmp_path)[1] == counter.pid
    # The remedy works, the other way round too.
    end({copy})
    os.kill(counter.pid, signal.SIGCONT)
    assert asked(counter.pid, tmp_path)[1] == counter.pid


def test_an_interrupt_behind_the_last_word_comes_too_late(
    counter: subprocess.Popen[bytes], proxy: str, tmp_path: Path
) -> None:
    done = migrate(counter.pid, f"{proxy} running-interrupt", "--pidns")

    assert 0 == done.returncode, done.stderr
    assert -signal.SIGKILL == counter.wait(30)
    (copy,) = copies(counter.pid)
    assert asked(copy, tmp_path)[1] == counter.pid


def test_what_job_control_has_stopped_stays_so(counter: subprocess.Popen[bytes], proxy: str, tmp_path: Path) -> None:
    os.kill(counter.pid, signal.SIGSTOP)
    Deadline(30, "the stop").wait_until(lambda: state(counter.pid) == "T")

    done = migrate(counter.pid, f"{proxy} running-refusal", "--pidns")

    assert (126, True) == (done.returncode, "crtool: 127.0.0.1: no\n" in done.stderr), done.stderr
    assert "T" == state(counter.pid)
    end(set(copies(counter.pid)))


@pytest.mark.parametrize(("moment", "here"), [("ready-kill", True), ("running-kill", False)])
def test_crtool_is_killed_at_a_chosen_instant(
    counter: subprocess.Popen[bytes], proxy: str, tmp_path: Path, moment: str, here: bool
) -> None:
    done = migrate(counter.pid, f"{proxy} {moment}", "--pidns")

    assert -signal.SIGKILL == done.returncode
    Deadline(60, "the end of the other end").wait_until(lambda: collect() and not others())
    assert ("T" != state(counter.pid), not here) == (here, len(copies(counter.pid)) == 1)
    runs = counter.pid if here else copies(counter.pid)[0]
    assert asked(runs, tmp_path)[1] == counter.pid


def test_crtool_is_killed_at_any_instant_and_it_runs_once(
    counter: subprocess.Popen[bytes], proxy: str, tmp_path: Path
) -> None:
    """Long form: CRTOOL_LONG=1."""
    start = time.monotonic()
    assert 126 == migrate(counter.pid, f"{proxy} ready", "--pidns").returncode
    whole = time.monotonic() - start
    dice = random.Random(6)
    current = counter.pid
    places = set()
    attempts = 60 if os.environ.get("CRTOOL_LONG") else 6
    for number in range(attempts):
        command = [*CRTOOL, "migrate", "--pidns", "--ssh", f"{proxy} none", "--remote-crtool",
                   f"{sys.executable} -m crtool", str(current), "127.0.0.1"]  # fmt: skip
        victim = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
        time.sleep((0.3 + 0.8 * (number + dice.random()) / attempts) * whole)
        victim.kill()
        victim.wait()
        # Everybody else ends by himself: the connection, and the other end.
        Deadline(60, "the end of the other end").wait_until(lambda: collect() and not others())
        everybody = {current, *copies(counter.pid)}
        if {current} == {pid for pid in everybody if psutil.pid_exists(pid)} and state(current) == "T":
            os.kill(current, signal.SIGCONT)  # killed between stop and word: it is to be told so, says the man page
        (runs,) = [pid for pid in everybody if psutil.pid_exists(pid) and state(pid) not in "TZX"]
        places.add("here" if runs == current else "there")
        # A copy that is stopped is ended by hand, as crtool would say if it lived.
        end(everybody - {runs})
        current = runs
    assert asked(current, tmp_path)[1] == counter.pid
    if os.environ.get("CRTOOL_LONG"):
        assert {"here", "there"} == places


def others() -> set[int]:
    """Both ends of a migration that are still at work, and what connects them."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        try:
            command = process.cmdline()
        except psutil.Error:
            continue
        if "crtool" in command or any("proxy.py" in word for word in command):
            found.add(process.pid)
    return found


def collect() -> bool:
    """Collects orphans of ours that have ended."""
    for pid in descendants():
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE and psutil.Process(pid).ppid() == os.getpid():
                os.waitpid(pid, os.WNOHANG)
        except (psutil.Error, ChildProcessError):
            pass
    return True
