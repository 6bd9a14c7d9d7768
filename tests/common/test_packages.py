"""A file from the package registry is taken only with the hash it was pinned by."""

from pathlib import Path

import pytest

from services.common.packages import PackageFile, PackageUnavailableError, sha256_of
from services.common.paths import cache_dir

SIX = PackageFile(
    "six",
    "1.17.0",
    "six-1.17.0-py2.py3-none-any.whl",
    "4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274",
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NARU_CACHE", str(tmp_path))


def test_a_file_is_fetched_once_and_kept() -> None:
    path = SIX.fetch()
    assert path.parent == cache_dir() / "packages"
    assert sha256_of(path) == SIX.sha256
    fetched = path.stat().st_mtime_ns
    assert SIX.fetch().stat().st_mtime_ns == fetched


def test_a_damaged_file_in_the_cache_is_fetched_again() -> None:
    path = SIX.fetch()
    path.write_bytes(b"damaged")
    assert sha256_of(SIX.fetch()) == SIX.sha256


def test_another_hash_is_refused_and_nothing_is_kept() -> None:
    wrong = PackageFile(SIX.name, SIX.version, SIX.filename, "0" * 64)
    with pytest.raises(PackageUnavailableError, match=SIX.sha256):
        wrong.fetch()
    assert not list((cache_dir() / "packages").iterdir())


def test_a_version_that_is_not_there_says_so() -> None:
    missing = PackageFile("six", "999.0", "six-999.0-py2.py3-none-any.whl", "0" * 64)
    with pytest.raises(PackageUnavailableError, match=r"six==999\.0"):
        missing.fetch()
