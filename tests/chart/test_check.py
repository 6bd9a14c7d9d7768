"""`python -m tests.chart.check`, as somebody runs it on values of their own."""

from pathlib import Path

import pytest

from tests.chart.check import main
from tests.chart.values import CHART


def run(monkeypatch: pytest.MonkeyPatch, *files: Path) -> int:
    monkeypatch.setattr("sys.argv", ["check", *map(str, files)])
    return main()


def test_files_are_laid_over_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("gateway: {replicas: 3}\n", encoding="utf-8")
    assert run(monkeypatch, CHART / "values-kind.yaml", own) == 0
    assert "renders 1 times" in capsys.readouterr().out


def test_what_is_wrong_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("models: {sentiment: {gpus: 1}}\n", encoding="utf-8")
    assert run(monkeypatch, CHART / "values-kind.yaml", own) == 1
    assert "models.sentiment.versions.v1.nodePool: a model on GPUs needs one" in capsys.readouterr().out
    own.write_text("gateway: {replica: 3}\n", encoding="utf-8")
    assert run(monkeypatch, CHART / "values-kind.yaml", own) == 1
    assert "'replica' not allowed" in capsys.readouterr().out
