"""What users get: a wheel and a source archive, made without a network, and one file that runs with Python alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy to build in: building leaves files behind."""
    folder = tmp_path_factory.mktemp("source") / "crtool"
    shutil.copytree(
        ROOT,
        folder,
        ignore=shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "tests", "*.crt"),
    )
    return folder


@pytest.fixture(scope="module")
def sdist(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    code = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True, timeout=120)
    (made,) = folder.iterdir()
    return made


def test_the_source_archive_makes_the_wheel(sdist: Path, tmp_path: Path):
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-index", "--no-build-isolation", "--no-deps"]
    subprocess.run([*command, "-w", tmp_path, source], check=True, timeout=120, stdin=subprocess.DEVNULL)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "crtool").rglob("*.py")}
    pages = {path.name for path in (ROOT / "man").iterdir()}
    assert modules | {"crtool/py.typed"} == {name for name in names if name.startswith("crtool/")}
    assert pages == {Path(name).name for name in names if "/share/man/man" in name}
    assert any(name.endswith("/LICENSE") for name in names)
    assert wheel.name.endswith("-py3-none-any.whl")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_one_file_saves_and_restarts(tmp_path: Path):
    subprocess.run([sys.executable, ROOT / "scripts" / "make_pyz.py", "-o", tmp_path / "crtool.pyz"], check=True)
    with zipfile.ZipFile(tmp_path / "crtool.pyz") as archive:
        packages = {PurePosixPath(name).parts[1] for name in archive.namelist() if name.startswith("site/")}
    assert {"crtool", "msgpack", "lz4", "zstandard"} <= packages
    (tmp_path / "job.py").write_text(
        "import os, time\nprint('begun', flush=True)\nwhile not os.path.exists('go'): time.sleep(.02)\nprint('done')\n"
    )
    # A bare Python, which knows no library of this environment.
    python = Path(sys.base_prefix) / "bin" / "python3"
    environment = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(tmp_path / "cache"), "TMPDIR": str(tmp_path)}

    def crtool(*arguments: str) -> None:
        command = [python, "-I", tmp_path / "crtool.pyz", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90
        )
        assert 0 == done.returncode, done.stderr

    with open(tmp_path / "log", "wb") as log:
        job = subprocess.Popen(
            [python, "job.py"], cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        until = time.monotonic() + 60
        while not (tmp_path / "log").read_text():
            assert time.monotonic() < until, "the job has not begun"
            time.sleep(0.02)
        crtool("--version")
        crtool("checkpoint", str(job.pid), "--leave-stopped", "--compress", "zstd", "-o", "job.crt")
        crtool("verify", "job.crt")
    finally:
        job.kill()
        job.wait()
    (tmp_path / "go").touch()
    crtool("restart", "job.crt")

    assert "begun\ndone\n" == (tmp_path / "log").read_text()
    assert 1 == len(list((tmp_path / "cache" / "crtool").iterdir()))
