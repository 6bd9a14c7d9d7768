"""uv is given what the user configured for pip; the locks fit pyproject.toml and hold a hash for everything."""

import pytest

from services.local import install, lock


def test_pips_configuration_becomes_uvs() -> None:
    config = "\n".join(
        [
            "global.index-url='https://mirror.example/simple'",
            "global.extra-index-url='https://a.example/simple\\nhttps://b.example/simple'",
            ":env:.find-links='/some/folder'",
            "install.cert='/some/ca.pem'",
            "global.timeout='180'",
            "nonsense",
        ]
    )
    assert install.uv_variables(config, {"SSL_CERT_FILE": "mine"}) == {
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_INDEX": "https://a.example/simple https://b.example/simple",
        "UV_FIND_LINKS": "/some/folder",
    }


def test_pips_own_variables_count_most_and_empty_ones_not() -> None:
    config = "\n".join(
        [":env:.index-url='https://mine.example'", ":env:.find-links=''", "global.index-url='https://all'"]
    )
    assert install.uv_variables(config, {}) == {
        "UV_INDEX_STRATEGY": "unsafe-best-match", "UV_DEFAULT_INDEX": "https://mine.example",
    }  # fmt: skip


def test_the_locks_fit_pyproject() -> None:
    assert lock.stale() == []


@pytest.mark.parametrize("name", [*lock.EXTRAS, "torch-cpu.txt", "uv.txt"])
def test_every_package_is_pinned_by_hash_and_no_index_is_named(name: str) -> None:
    text = (install.LOCKS / name).read_text()
    requirements = text.replace("\\\n", "").splitlines()
    packages = [line for line in requirements if line and not line.startswith("#")]
    assert packages
    assert all("==" in line and "--hash=sha256:" in line for line in packages)
    assert "://" not in text
    names = {line.split("==")[0].strip() for line in packages}
    assert names.isdisjoint({"torchvision", "torchaudio", "torchcodec", "triton"})


def test_the_gateways_lock_is_light() -> None:
    text = (install.LOCKS / "gateway.txt").read_text()
    assert "torch" not in text
    assert "vllm" not in text
