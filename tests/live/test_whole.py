"""Whole stories: chains of ten, images through pipes, and a kernel with another vDSO."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from crtool.engine import restart as restart_module
from crtool.engine.checkpoint import checkpoint
from crtool.puppet.birth import Newborn

from .harness.catalogue import catalogue
from .harness.run import Run


def specimen(name: str, folder: Path) -> Run:
    """A specimen that is ready."""
    run = Run(next(specimen for specimen in catalogue() if specimen.name == name), folder)
    run.await_ready()
    return run


@pytest.mark.parametrize("name", ["cpu_victim", "memory_malloc", "signals_altstack"])
def test_a_chain_of_ten(name: str, tmp_path: Path) -> None:
    """Nothing gets lost, and nothing accumulates: the tenth image is as large as the second."""
    run = specimen(name, tmp_path)
    sizes = []
    try:
        for _ in range(10):
            image = run.checkpoint("--kill")
            sizes.append(image.stat().st_size)
            run.restart(image)
        run.pass_judgement()
    finally:
        run.end()

    assert sizes[-1] <= sizes[1] * 1.1


def test_an_image_goes_through_pipes(tmp_path: Path) -> None:
    """`crtool checkpoint -o - | … | crtool restart -`: both ways without a seek."""
    run = specimen("memory_malloc", tmp_path)
    try:
        command = [sys.executable, "-m", "crtool", "checkpoint", str(run.root), "--kill", "-o", "-"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            content = writer.stdout.read()
        run.target.wait()
        command = [sys.executable, "-m", "crtool", "restart", "-"]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as reader:
            assert reader.stdin is not None
            reader.stdin.write(content)
            reader.stdin.close()
            while Path(f"/proc/{run.root}/comm").read_text() != "memory_malloc\n" or is_traced(run.root):
                assert reader.poll() is None
            os.kill(run.root, signal.SIGTERM)

            assert 0 == reader.wait(timeout=60)
        assert run.printed() == b"ready\nPASS\n"
    finally:
        run.end()


def is_traced(pid: int) -> bool:
    """Whether somebody still holds it."""
    return "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text()


def test_a_damaged_stream_leaves_nothing_behind(tmp_path: Path) -> None:
    """Its data can only be judged when it has been read: by then there are puppets, and they have to go."""
    run = specimen("memory_malloc", tmp_path)
    try:
        content = bytearray(run.checkpoint("--kill").read_bytes())
        content[-5000] ^= 1
        done = subprocess.run(
            [sys.executable, "-m", "crtool", "restart", "-"],
            input=bytes(content), capture_output=True, timeout=60, check=False,
        )  # fmt: skip

        assert 123 == done.returncode, done.stderr
        with pytest.raises(ProcessLookupError):
            os.kill(run.root, 0)
    finally:
        run.end()


def test_a_kernel_with_another_vdso(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old vDSO stays where it was, as plain memory, and its functions lead to the new one; also a second time."""
    run = specimen("time_clock_readers", tmp_path)
    real = restart_module._vdso_code

    def other(puppet: Newborn) -> bytes:
        code = bytearray(real(puppet))
        code[-1] ^= 1  # behind everything that is used
        return bytes(code)

    try:
        image = run.checkpoint("--kill")
        places = [line for line in maps_of(image) if "vdso" in line]
        monkeypatch.setattr(restart_module, "_vdso_code", other)
        for _ in range(2):
            restored = restart_module.restart(image, detach=True)
            os.kill(restored.pid, 0)
            image = tmp_path / "again.crt"
            checkpoint(restored.pid, str(image), force=True, leave="killed")
            os.waitpid(restored.pid, 0)
        monkeypatch.undo()
        run.restart(image)
        run.pass_judgement()
    finally:
        run.end()

    assert not places  # the kernel's own mappings are no mappings of the program


def maps_of(image: Path) -> list[str]:
    """The lines of `crtool show --maps`."""
    done = subprocess.run(
        [sys.executable, "-m", "crtool", "show", "--maps", str(image)], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()
