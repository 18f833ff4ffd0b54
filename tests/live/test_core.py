"""Core files of images: gdb says the same of them as of the living process."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

import crtool
from crtool.engine.core import core
from crtool.errors import ImageError, NotFound, UsageError

pytestmark = pytest.mark.skipif(shutil.which("gdb") is None, reason="gdb is not installed")

_THREADS = """
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static __thread int mine;
static double deeper(double value, int levels) {
    volatile double next = value * 1.5;
    if (levels) return deeper(next, levels - 1) + next;
    pause();
    return next;
}
static void *work(void *number) { mine = (int)(long)number; deeper(mine, mine); return 0; }
int main(void) {
    pthread_t thread;
    for (long number = 1; number <= 3; number++) pthread_create(&thread, 0, work, (void *)number);
    mine = 77;
    puts("ready"); fflush(stdout);
    deeper(1, 5);
}
"""

_MEMORY = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
static char *some(int flags, int fd, const char *text) {
    char *at = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (text) strcpy(at + (1 << 19) + 123, text);
    return at;
}
char *untouched, *private_memory, *shared_memory, *memory_file, *over_file, *over_memory_file, *deleted;
int main(int count, char **names) {
    int fd = memfd_create("name", 0);
    ftruncate(fd, 1 << 20);
    untouched = some(MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    private_memory = some(MAP_PRIVATE | MAP_ANONYMOUS, -1, "private memory");
    shared_memory = some(MAP_SHARED | MAP_ANONYMOUS, -1, "shared memory");
    memory_file = some(MAP_SHARED, fd, "in a memfd");
    over_memory_file = some(MAP_PRIVATE, fd, "over a memfd");
    over_file = some(MAP_PRIVATE, open(names[1], O_RDWR), "over a file");
    int gone = open(names[2], O_RDWR | O_CREAT, 0600);
    ftruncate(gone, 1 << 20);
    deleted = some(MAP_SHARED, gone, "in a deleted file");
    unlink(names[2]);
    puts("ready"); fflush(stdout);
    pause();
}
"""

_GO = """
package main
import ("fmt"; "os"; "os/signal")
//go:noinline
func deeper(number int, wait chan os.Signal) int {
    if number > 0 { return deeper(number - 1, wait) + 1 }
    fmt.Println("ready")
    <-wait
    return 0
}
func main() {
    wait := make(chan os.Signal, 1)
    signal.Notify(wait, os.Interrupt)
    fmt.Println(deeper(4, wait))
}
"""

_PYTHON = """
import threading, time
def deeper(number):
    if number:
        return deeper(number - 1)
    print("ready", flush=True)
    time.sleep(1000)
threading.Thread(target=deeper, args=(3,), daemon=True).start()
time.sleep(1000)
"""


@contextmanager
def _saved(
    command: Sequence[str | Path], image: Path, *, stopped: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """A process that has said that it is ready, and has been saved to *image*, and goes on, unless it was *stopped*."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert "ready\n" == process.stdout.readline()
        _until(process.pid, "S")
        if stopped:
            os.kill(process.pid, signal.SIGSTOP)
            _until(process.pid, "T")
        crtool.checkpoint(process.pid, image, stdio="inherit")
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _until(pid: int, state: str) -> None:
    """Waits until all threads have been in *state* for a while."""
    seen = 0
    while seen < 1000:
        states = {stat.read_text().split()[2] for stat in Path(f"/proc/{pid}/task").glob("*/stat")}
        seen = seen + 1 if states == {state} else 0


def _compiled(source: str, folder: Path, *compiler: str) -> Path:
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"{compiler[0]} is not installed")
    code = folder / ("program.go" if compiler[0] == "go" else "program.c")
    code.write_text(source)
    environment = {**os.environ, "GOCACHE": str(folder / "cache"), "GO111MODULE": "off"}
    subprocess.run([*compiler, "-o", folder / "program", code], check=True, env=environment)
    return folder / "program"


def _gdb(program: str | Path, target: Sequence[str | Path], *questions: str) -> str:
    """What gdb answers, without what differs by nature: a core file has no names of threads."""
    commands = ["set pagination off", "set debuginfod enabled off", "echo >>>\\n", *questions]
    options = [option for command in commands for option in ("-ex", command)]
    done = subprocess.run(
        ["gdb", "-q", "-nx", "-batch", *options[:4], program, *target, *options[4:]],
        capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    answers = done.stdout.partition(">>>\n")[2]
    return re.sub(r'(LWP \d+\)?) "[^"]*"', r"\1", re.sub(r"\n*\[Inferior 1 .*detached\]\n*", "\n", answers)).strip()


def _both(process: subprocess.Popen[str], image: Path, *questions: str) -> tuple[str, str]:
    program = os.readlink(f"/proc/{process.pid}/exe")
    made = core(image, image.with_suffix(".core"))
    assert (process.pid, program) == (made.pid, made.exe)
    ask_living, ask_dead = partial(_gdb, program, ["-p", str(process.pid)]), partial(_gdb, program, [made.path])
    dead = ask_dead(*questions)
    if _TOO_SMALL.search(dead) is None:
        return ask_living(*questions), dead
    questions = tuple(question for question in questions if "all-registers" not in question)
    return _MASKS.sub("", ask_living(*questions)), _MASKS.sub("", _TOO_SMALL.sub("", ask_dead(*questions)))


# gdb 13 takes it for granted that AVX-512 registers lie where Intel has them, so that on CPUs of AMD it reads neither
# vector nor mask registers from a core file, not from the kernel's own either.
_TOO_SMALL = re.compile(r"\n*warning: Section `\.reg-xstate/\d+' in core file too small\.(?=\n)")
_MASKS = re.compile(r"^k[0-7] .*\n", re.MULTILINE)


_STATE = ("thread apply all bt", "thread apply all info registers", "thread apply all info all-registers", "info auxv")


def test_threads(tmp_path: Path) -> None:
    program = _compiled(_THREADS, tmp_path, "gcc", "-g", "-O0", "-pthread")
    with _saved([program], tmp_path / "image.crt") as process:
        living, dead = _both(process, tmp_path / "image.crt", *_STATE, "thread apply all print mine")

    assert 5 <= living.count("deeper (value=")
    assert "$1 = 3" in living
    assert living.splitlines() == dead.splitlines()


def test_go(tmp_path: Path) -> None:
    """Stopped, because the threads of the runtime wake up by themselves."""
    program = _compiled(_GO, tmp_path, "go", "build")
    with _saved([program], tmp_path / "image.crt", stopped=True) as process:
        living, dead = _both(process, tmp_path / "image.crt", "thread apply all bt")

    assert "runtime.futex" in living
    assert _functions(living) == _functions(dead)


def _functions(backtraces: str) -> list[str]:
    """Names without arguments: gdb takes those of Go out of registers that have long been used for something else."""
    return [line.partition(" (")[0] if line.startswith("#") else line for line in backtraces.splitlines()]


def test_python(tmp_path: Path) -> None:
    with _saved([sys.executable, "-c", _PYTHON], tmp_path / "image.crt") as process:
        living, dead = _both(process, tmp_path / "image.crt", "thread apply all bt")

    assert 2 <= living.count("\nThread ") + living.startswith("Thread ")
    assert living.splitlines() == dead.splitlines()


def test_memory_of_every_kind(tmp_path: Path) -> None:
    program = _compiled(_MEMORY, tmp_path, "gcc", "-g")
    (tmp_path / "file").write_bytes(bytes(1 << 20))
    names = "untouched private_memory shared_memory memory_file over_memory_file over_file deleted".split()
    with _saved([program, tmp_path / "file", tmp_path / "gone"], tmp_path / "image.crt") as process:
        questions = [f"x/s {name} + (1 << 19) + 123" for name in names]
        living, dead = _both(process, tmp_path / "image.crt", *questions, "info proc mappings")
    contents = [line.partition("\t")[2] for line in dead.splitlines()[: len(names)]]

    assert [
        '""', '"private memory"', '"shared memory"', '"in a memfd"', '"over a memfd"', '"over a file"',
        '"in a deleted file"',
    ] == contents  # fmt: skip
    assert living.splitlines()[: len(names)] == dead.splitlines()[: len(names)]
    assert str(tmp_path / "file") in dead
    assert (tmp_path / "image.core").stat().st_blocks * 512 < 2 * (tmp_path / "image.crt").stat().st_size + (1 << 17)


def test_a_child_of_the_tree(tmp_path: Path) -> None:
    program = _compiled(_THREADS, tmp_path, "gcc", "-g", "-O0", "-pthread")
    command = ["sh", "-c", f"{program} & wait"]
    with _saved(command, tmp_path / "image.crt") as process:
        (child,) = [found.pid for found in crtool.show(tmp_path / "image.crt").processes if found.pid != process.pid]
        made = core(tmp_path / "image.crt", tmp_path / "core", pid=child)
        os.kill(child, signal.SIGKILL)
        process.wait(10)

    assert (child, 4, str(program)) == (made.pid, made.threads, made.exe)
    with pytest.raises(UsageError, match="there is no process 1 in the image"):
        core(tmp_path / "image.crt", tmp_path / "another", pid=1)
    assert not (tmp_path / "another").exists()


def test_nothing_is_written_from_what_is_damaged(tmp_path: Path) -> None:
    image = tmp_path / "image.crt"
    with _saved([sys.executable, "-c", _PYTHON], image):
        pass
    with open(image, "r+b") as file:
        file.seek(-100_000, os.SEEK_END)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(ImageError):
        core(image, tmp_path / "core")
    with pytest.raises(NotFound):
        core(tmp_path / "none", tmp_path / "core")

    assert ["image.crt"] == sorted(os.listdir(tmp_path))


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    with _saved([sys.executable, "-c", _PYTHON], tmp_path / "image.crt"):
        pass
    (tmp_path / "core").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        core(tmp_path / "image.crt", tmp_path / "core")

    assert "mine" == (tmp_path / "core").read_text()
    core(tmp_path / "image.crt", tmp_path / "core", force=True)
    assert (tmp_path / "core").read_bytes().startswith(b"\x7fELF")
