"""``crtool eclone``: the command gets what was asked for, and its end is ours."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from crtool.kernel.syscall import syscall

from .forked import become_nobody, free_pid, holding, in_child

PYTHON = sys.executable


def crtool(*words: str, **options) -> subprocess.CompletedProcess:
    command = [PYTHON, "-m", "crtool", "eclone", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


def started(*words: str) -> subprocess.Popen:
    """The same in the background, once the command has said that it is ready."""
    command = [PYTHON, "-m", "crtool", "eclone", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert "ready\n" == process.stdout.readline()
    return process


def lines(found: subprocess.CompletedProcess, status: int) -> list[str]:
    """Cause and remedy of an error."""
    assert status == found.returncode, found.stderr
    assert "" == found.stdout
    assert len(found.stderr.splitlines()) <= 2
    return found.stderr.splitlines()


def test_the_pid_asked_for():
    number = free_pid()

    assert f"{number}\n" == crtool("--pids", str(number), "--", "sh", "-c", "echo $$").stdout


def test_any_pid():
    assert 0 == crtool("--", "true").returncode
    assert 0 == crtool("--pids", "0", "--", "true").returncode


def test_options_of_the_command_are_its_own():
    assert "--pids -h\n" == crtool("echo", "--pids", "-h").stdout


def test_a_new_pid_namespace_with_its_proc():
    number = free_pid()
    script = "echo $$; ls /proc | grep -c '^[0-9]*$'; readlink /proc/self"

    found = crtool("--pids", str(number), "--newpid", "--newns", "--", "sh", "-c", script)

    assert "1" == found.stdout.split()[0]
    assert int(found.stdout.split()[1]) <= 3  # sh, ls, grep
    assert os.path.exists(f"/proc/{os.getpid()}")  # here it is the old one


def test_pids_of_ones_own_in_nested_namespaces():
    inner = (PYTHON, "-m", "crtool", "eclone", "--pids", "77", "--", "sh", "-c", "echo $$; test -d /proc/77")

    assert "77\n" == crtool("--newuser", "--newpid", "--newns", "--", *inner).stdout


def test_a_new_pid_namespace_without_mounts():
    assert "1\n" == crtool("--newpid", "--", "sh", "-c", "echo $$").stdout


OPTIONS = {
    "newuser": "user",
    "newnet": "net",
    "newuts": "uts",
    "newipc": "ipc",
    "newns": "mnt",
    "newcgroup": "cgroup",
    "newtime": "time",
    "newpid": "pid",
}


@pytest.mark.parametrize(("option", "name"), OPTIONS.items())
def test_each_namespace_is_new_and_no_other(option, name):
    names = OPTIONS.values()
    script = "; ".join(f"readlink /proc/self/ns/{each}" for each in names)

    found = crtool(f"--{option}", "--", "sh", "-c", script).stdout.split()

    ours = [os.readlink(f"/proc/self/ns/{each}") for each in names]
    assert [name] == [each for each, here, there in zip(names, ours, found, strict=True) if here != there]


def test_root_of_a_new_user_namespace():
    assert "0 0\n" == crtool("--newuser", "--", "sh", "-c", "echo $(id -u) $(id -g)").stdout


@pytest.mark.parametrize("status", [0, 1, 7, 125, 126, 255])
def test_its_status(status):
    assert status == crtool("--", "sh", "-c", f"exit {status}").returncode


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_death_by_the_same_signal(number):
    assert -number == crtool("--", "sh", "-c", f"kill -{int(number)} $$").returncode


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_passed_on(number):
    with started("--", "sh", "-c", "echo ready; exec sleep 60") as process:
        process.send_signal(number)
        assert -number == process.wait(20)


def test_a_signal_that_it_handles():
    script = "trap 'echo got it; exit 3' TERM; echo ready; while :; do sleep 0.02; done"
    for options in ((), ("--newpid",)):
        with started(*options, "--", "sh", "-c", script) as process:
            process.terminate()
            assert 3 == process.wait(20)
            assert "got it\n" == process.stdout.read()


def test_the_first_process_of_a_namespace_ends_by_a_signal_that_it_does_not_handle():
    with started("--newpid", "--", "sh", "-c", "echo ready; exec sleep 60") as process:
        process.terminate()
        assert -signal.SIGTERM == process.wait(20)


def test_a_signal_during_the_birth_is_not_lost():
    for delay in (0.1, 0.2, 0.3):
        process = subprocess.Popen([PYTHON, "-m", "crtool", "eclone", "--", "sleep", "60"], stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.terminate()
        assert -signal.SIGTERM == process.wait(20)


@pytest.mark.parametrize("options", [(), ("--newpid",)])
def test_a_key_of_the_terminal_reaches_it_once(options):
    script = "n=0; trap 'n=$((n+1))' INT; echo ready; sleep 0.7; sleep 0.7; echo got $n; exit 5"
    pid, master = pty.fork()
    if pid == 0:
        os.execv(PYTHON, [PYTHON, "-m", "crtool", "eclone", *options, "--", "sh", "-c", script])
    said = b""
    try:
        while b"ready" not in said:
            said += os.read(master, 1000)
        os.write(master, b"\x03")
        while True:
            said += os.read(master, 1000)
    except OSError:
        pass  # EIO: nobody has the terminal any more
    assert 5 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert b"got 1" in said
    os.close(master)


def test_the_signals_of_the_command_are_as_they_were():
    script = "grep -E '^Sig(Blk|Ign)' /proc/self/status"

    def plainly(*prefix: str) -> str:
        return subprocess.run([*prefix, "sh", "-c", script], capture_output=True, text=True, check=True).stdout

    assert plainly() == plainly(PYTHON, "-m", "crtool", "eclone", "--")
    assert plainly("nohup") == plainly("nohup", PYTHON, "-m", "crtool", "eclone", "--")


def test_no_descriptor_of_ours():
    assert "0 1 2 3" == " ".join(crtool("--", "ls", "/proc/self/fd").stdout.split())


# Bad input: one line of cause, one of remedy.


@pytest.mark.parametrize("words", ["-5", "x", "", "1,,2", "1.5", "99999999999", "1,-2", "١"])
def test_what_is_no_pid(words):
    cause, _ = lines(crtool("--pids", words, "--", "true"), 120)

    assert "--pids" in cause or "PID" in cause


def test_no_command():
    lines(crtool("--pids", "5"), 120)
    lines(crtool("--"), 120)


def test_out_of_range():
    with open("/proc/sys/kernel/pid_max") as file:
        limit = int(file.read())

    (cause, _) = lines(crtool("--pids", str(limit), "--", "true"), 126)
    assert f"PID {limit} is out of range: numbers here are below {limit}" in cause


@pytest.mark.machine("pid_max of each PID namespace (Linux 6.14)")
def test_out_of_range_in_a_namespace_of_less():
    """pid_max is that of the namespace in which the command is to be born."""
    inner = f"{PYTHON} -m crtool eclone --pids 500 -- true"
    script = f"echo 500 >/proc/sys/kernel/pid_max; {inner}; echo $? >&2"

    found = crtool("--newpid", "--newns", "--", "sh", "-c", script)

    cause, _, status = found.stderr.splitlines()
    assert "PID 500 is out of range: numbers here are below 500" in cause
    assert "126" == status


@pytest.mark.machine("all levels of PID namespaces in sight")
def test_more_pids_than_levels():
    (cause, _) = lines(crtool("--pids", "500,600", "--", "true"), 126)
    assert "2 PIDs are given" in cause
    (cause, _) = lines(crtool("--pids", "500,1", "--newpid", "--", "true"), 126)
    assert "the 1 in a new one is not named" in cause


def test_a_pid_that_is_taken_is_named_with_its_holder():
    (cause, _) = lines(crtool("--pids", str(os.getpid()), "--", "true"), 126)

    with open("/proc/self/comm") as file:
        name = file.read().strip()
    assert f"PID {os.getpid()} is now" in cause
    assert name[:6] in cause or "pytest" in cause or "python" in cause


def test_a_zombie_is_named_with_its_parent():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        (cause, _) = lines(crtool("--pids", str(pid), "--", "true"), 126)
    finally:
        os.waitpid(pid, 0)
    assert f"PID {pid} is a zombie waiting for its parent {os.getpid()}" in cause


def test_an_inner_zero_that_cannot_be():
    """Without clone3 no level but the caller's own can be chosen, so nor can any number above a 0."""
    code = "from tests.live.forked import hide_clone3; hide_clone3(); from crtool.cli.main import run; run()"
    command = [PYTHON, "-c", code, "eclone", "--pids", "700,0", "--", "true"]

    found = crtool("--newpid", "--", *command)

    (cause, _) = lines(found, 126)
    assert "clone3 is missing, or hidden by a seccomp filter" in cause
    assert "reaches one PID namespace, but PIDs of 2 are asked for" in cause


@pytest.mark.parametrize(("option", "name"), OPTIONS.items())
def test_a_kernel_without_such_namespaces(option, name, tmp_path):
    """Where /proc/self/ns does not have the kind; here something else is mounted over /proc/self/ns."""
    (tmp_path / "ns").mkdir()
    code = (
        f"from crtool.kernel.mount import mount; mount({str(tmp_path / 'ns')!r}, f'/proc/{{os.getpid()}}/ns', '', 4096)"
    )
    main = "from crtool.cli.main import run; run()"
    command = [PYTHON, "-c", f"import os; {code}; {main}", "eclone", f"--{option}", "--", "true"]

    (cause, remedy) = lines(crtool("--newns", "--", *command), 126)
    assert f"this kernel has no {name} namespaces" in cause
    assert name in remedy


def test_not_1_first_in_a_new_namespace():
    # A namespace of unshare(2) is there before its first process.
    unshare = lambda: syscall("unshare", 0x20000000)  # noqa: E731 - CLONE_NEWPID

    (cause, _) = lines(crtool("--pids", "5", "--", "true", preexec_fn=unshare), 126)
    assert "the first process of a new PID namespace is 1, not 5" in cause


def test_no_such_command():
    (cause, _) = lines(crtool("--", "no-such-command"), 127)
    assert "no-such-command: command not found" in cause
    lines(crtool("--newpid", "--newns", "--", "/no/such/command"), 127)


def test_a_command_that_cannot_be_executed(tmp_path):
    (cause, _) = (*lines(crtool("--", str(tmp_path)), 126), "")[:2]
    assert f"{tmp_path} cannot be executed: Permission denied" in cause


def ended_by_main(*words: str) -> tuple[int, str]:
    """Status and standard error of the command line in this process: another user may not read our interpreter."""
    from crtool.cli.main import main

    reader, writer = os.pipe()
    os.dup2(writer, 2)
    sys.stderr = os.fdopen(writer, "w", buffering=1)
    status = main(["eclone", *words])
    os.close(2)
    sys.stderr.close()
    return status, os.read(reader, 10000).decode()


def as_nobody(*words: str) -> tuple[int, str]:
    import crtool.cli.eclone
    import crtool.cli.main
    import crtool.engine.start  # noqa: F401 - before the files cannot be read any more

    def attempt():
        become_nobody()
        return ended_by_main(*words)

    return in_child(attempt)


def test_no_privilege():
    status, said = as_nobody("--pids", str(free_pid()), "--", "true")

    assert 126 == status
    assert "CAP_CHECKPOINT_RESTORE" in said
    assert 2 == len(said.splitlines())


def test_no_namespaces_without_privilege():
    assert 126 == as_nobody("--newnet", "--", "true")[0]


def test_a_user_namespace_needs_no_privilege():
    script = 'test "$$ $(id -u)" = "1 0"'

    assert (0, "") == as_nobody("--newuser", "--newpid", "--newnet", "--newuts", "--", "sh", "-c", script)


def test_nothing_is_left_after_an_error():
    with holding(free_pid()) as number:
        lines(crtool("--pids", str(number), "--newpid", "--", "true"), 126)
