"""The examples that are scripts and services, as they stand."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
# Its every line can be checked; it has not ended before "go" is there, however slow the machine is.
COUNT = (
    sys.executable,
    "-uc",
    "import os, time\n"
    "for number in range(60):\n"
    "    while number >= 40 and not os.path.exists('go'): time.sleep(.02)\n"
    "    os.write(1, b'%d\\n' % number)\n"  # a line at once, or crtool's own may come in between
    "    time.sleep(.01)\n",
)
COUNTED = "".join(f"{number}\n" for number in range(60))

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def environment(folder: Path, **more: str) -> dict[str, str]:
    path = f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "TMPDIR": str(folder), "LC_ALL": "C.UTF-8", **more}


def wait_until(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < until, f"not within 90 s: {what}"
        time.sleep(0.02)


@contextmanager
def started(folder: Path, *command: str | Path, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command at work in *folder*, in a session of its own; whatever is left of it is ended."""
    with open(folder / "said", "ab") as said:
        process = subprocess.Popen(
            command, cwd=folder, env=environment(folder, **more), stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            start_new_session=True,
        )  # fmt: skip
    below: set[psutil.Process] = set()
    try:
        yield process
        if process.poll() is None:
            below.update(psutil.Process(process.pid).children(recursive=True))
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for left in below:
            if left.is_running():
                left.kill()


def said(folder: Path) -> str:
    return (folder / "said").read_text(encoding="utf-8", errors="replace")


def lines(path: Path) -> int:
    return path.read_text(encoding="utf-8").count("\n") if path.exists() else 0


def test_a_shell_script_goes_on_with_its_job(tmp_path):
    command = (EXAMPLES / "job.sh", *COUNT)
    log = tmp_path / "job.log"
    for sign in (lambda: lines(log) >= 5, lambda: "going on from" in said(tmp_path)):  # started, and restarted
        with started(tmp_path, *command) as script:
            wait_until(sign, "the job at work")
            script.send_signal(signal.SIGTERM)
            assert 75 == script.wait(90), said(tmp_path)
        assert {"job.crt", "job.log"} == set(os.listdir(tmp_path)) - {"job.pid", "said"}
    (tmp_path / "go").touch()
    with started(tmp_path, *command) as script:
        assert 0 == script.wait(90), said(tmp_path)

    assert COUNTED == log.read_text()
    assert ["go", "job.log", "said"] == sorted(os.listdir(tmp_path))


def test_a_shell_script_passes_on_how_its_job_ended(tmp_path):
    with started(tmp_path, EXAMPLES / "job.sh", "sh", "-c", "exit 3") as script:
        assert 3 == script.wait(30)

    assert "it has failed with status 3" in said(tmp_path)


SLURM = """#!/bin/sh
# What of Slurm the script asks for: a requeue is noted.
echo "$@" >>"$SLURM_SUBMIT_DIR/requeued"
"""


def test_a_job_of_slurm_is_put_back_into_the_queue(tmp_path):
    """There is no Slurm here: the environment, the signal to the script and scontrol are what Slurm gives it."""
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(SLURM)
    scontrol.chmod(0o755)
    slurm = {"SLURM_JOB_ID": "4711", "SLURM_SUBMIT_DIR": str(tmp_path)}
    with started(tmp_path, EXAMPLES / "slurm.sh", *COUNT, **slurm) as script:
        wait_until(lambda: "\n5\n" in said(tmp_path), "some lines")
        script.send_signal(signal.SIGTERM)
        assert 0 == script.wait(90), said(tmp_path)
    assert "requeue 4711\n" == (tmp_path / "requeued").read_text()

    (tmp_path / "go").touch()
    with started(tmp_path, EXAMPLES / "slurm.sh", *COUNT, **slurm) as script:
        assert 0 == script.wait(90), said(tmp_path)
    assert "requeue 4711\n" == (tmp_path / "requeued").read_text()
    numbers = re.sub(r"(?m)^crtool.*\n(  .*\n)*", "", said(tmp_path))
    assert COUNTED == numbers


UNITS = sorted(EXAMPLES.glob("crtool-job*.*"))


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze (Debian: systemd)")
def test_systemd_understands_the_units():
    done = subprocess.run(["systemd-analyze", "verify", *UNITS], capture_output=True, text=True, timeout=60)

    assert 3 == len(UNITS)
    assert (0, "") == (done.returncode, done.stdout)
    assert "crtool" not in done.stderr  # it may complain about the machine


def _exec_start(unit: str) -> list[str]:
    (line,) = re.findall(r"^ExecStart=(.*)$", (EXAMPLES / unit).read_text(encoding="utf-8"), re.MULTILINE)
    return shlex.split(line)


def test_the_unit_goes_on_after_a_stop(tmp_path):
    """systemd does not run here: its command line does, with the signals of the timer and of systemctl stop."""
    images = tmp_path / "images"
    command = [word.replace("/var/lib/crtool-job/images", str(images)) for word in _exec_start("crtool-job.service")]
    assert str(images) in command
    assert ["--signal=USR1", "crtool-job.service"] == _exec_start("crtool-job-save.service")[-2:]
    command[command.index("--") + 1 :] = COUNT  # which does not take a day
    with started(tmp_path, *command) as service:
        wait_until(lambda: "\n3\n" in said(tmp_path), "some lines")
        service.send_signal(signal.SIGUSR1)
        wait_until(lambda: any(images.glob("*.crt")), "an image")
        service.send_signal(signal.SIGTERM)
        assert 75 == service.wait(90), said(tmp_path)
    (tmp_path / "go").touch()
    with started(tmp_path, *command) as service:
        assert 0 == service.wait(90), said(tmp_path)

    assert COUNTED == re.sub(r"(?m)^crtool.*\n(  .*\n)*", "", said(tmp_path))


def test_a_service_is_started_warm_and_twice(tmp_path):
    from urllib.request import urlopen

    with started(tmp_path, sys.executable, EXAMPLES / "warm.py", "load") as service:
        assert 0 == service.wait(90), said(tmp_path)
    ports: list[str] = []
    with (
        started(tmp_path, "crtool", "restart", "--pidns", "warm.crt") as one,
        started(tmp_path, "crtool", "restart", "--pidns", "warm.crt") as two,
    ):
        wait_until(lambda: 2 == len(re.findall(r"port \d+\n", said(tmp_path))), "two ports")
        ports += re.findall(r"port (\d+)\n", said(tmp_path))
        for port in ports:
            assert b"289" == urlopen(f"http://127.0.0.1:{port}/17", timeout=30).read()
        for copy in (one, two):
            copy.terminate()
            copy.wait(30)

    assert 2 == len(set(ports))
    assert 1 == said(tmp_path).count("loaded in")


@pytest.mark.skipif(not (shutil.which("java") and shutil.which("curl")), reason="needs java and curl")
def test_a_virtual_machine_is_started_warm(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
    with started(tmp_path, EXAMPLES / "warm-jvm.sh", port) as script:
        assert 0 == script.wait(120), said(tmp_path)
    cold, warm = (int(took) for took in re.findall(r"^17 x 17 = 289, (\d+) ms after the start$", said(tmp_path), re.M))

    assert "saved and killed" in said(tmp_path)
    assert warm < cold
    assert ["said"] == os.listdir(tmp_path)


@pytest.mark.skipif(not (shutil.which("gdb") and shutil.which("gcc")), reason="needs gdb and gcc")
def test_a_crash_is_opened_in_gdb(tmp_path):
    with started(tmp_path, EXAMPLES / "crash.sh") as script:
        assert 0 == script.wait(120), said(tmp_path)
    _, before, again = re.split(r"== What it was like before.*\n|== Once more.*\n", said(tmp_path))

    assert "it has ended with status 136" in said(tmp_path)  # 128 + SIGFPE
    assert re.search(r"next \(work=.*\) at crash.c:\d+", before)
    assert "Program received signal SIGFPE" in again
    assert re.search(r"#0 .*share \(number=0\)", again)
    assert "$1 = 0" in again
    assert ["said"] == os.listdir(tmp_path)
