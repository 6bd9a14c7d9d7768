"""Compiled modules are taken only where they were asked for, and only if they are of these sources."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from services.gateway import compiled
from services.gateway.compiled.__main__ import build
from services.gateway.relay import relay


def test_what_was_asked_for_is_what_runs() -> None:
    asked = bool(os.environ.get(compiled.VARIABLE))
    assert compiled.in_use() == asked
    assert Path(str(relay.__file__)).suffix == (".so" if asked else ".py")


def test_every_module_is_there() -> None:
    files = [compiled.ROOT / file for file in compiled.sources()]
    assert len(files) > 50
    assert [file for file in files if not file.is_file()] == []


def test_modules_of_other_sources_are_not_taken(tmp_path: Path) -> None:
    (tmp_path / ("0" * 16)).mkdir()
    variables = {**os.environ, compiled.VARIABLE: str(tmp_path)}
    command = [sys.executable, "-c", "import services.gateway"]
    run = subprocess.run(command, env=variables, cwd=compiled.ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert f"{compiled.VARIABLE}={tmp_path} holds nothing that was compiled from these sources" in run.stderr
    assert f"python -m services.gateway.compiled --into {tmp_path}" in run.stderr


def test_one_source_makes_another_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("common", "gateway"):
        (tmp_path / "services" / part).mkdir(parents=True)
    source = tmp_path / "services/gateway/a.py"
    monkeypatch.setattr(compiled, "ROOT", tmp_path)
    seen = set()
    for text in ("a = 1\n", "a = 2\n"):
        source.write_text(text)
        seen.add(compiled.digest())
    source.rename(source.with_name("b.py"))
    assert len(seen | {compiled.digest()}) == 3


@pytest.mark.parametrize(
    ("compiler", "said"),
    [
        pytest.param("/usr/bin/cc", r"no .*Python\.h: install Python's headers", id="headers"),
        pytest.param(None, "no .*: install a C compiler", id="compiler"),
    ],
)
def test_what_is_missing_to_compile_is_named(
    compiler: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: compiler)
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(SystemExit, match=said):
        build(tmp_path / "into")
    assert not (tmp_path / "into").exists()
