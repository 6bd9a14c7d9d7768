from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, so that no test sees or touches the user's models."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NARU_CACHE", str(folder))
    return folder
