"""The key file: what it may hold, what it says of a fault, and how it is written."""

import hashlib
import stat
from concurrent.futures import ThreadPoolExecutor
from math import inf
from pathlib import Path

import pytest

from services.gateway.policy.authenticate import Authenticator
from services.gateway.policy.keyfile import Key, KeyFileError, add_key, digest, load_keys, remove_key
from services.gateway.policy.keyring import Keyring

DIGEST = hashlib.sha256(b"sk-a").hexdigest()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.yaml"


def test_a_key_file(path: Path) -> None:
    path.write_text(f"""
keys:
- {{name: a, tenant: shop, sha256: {DIGEST}, models: [m], priority: core-proactive, requests_per_minute: 60}}
tenants:
  shop: {{weight: 3, tokens_per_day: 1000}}
""")
    file = load_keys(path)
    principal = Authenticator(Keyring(file.keys, file.tenants)).authenticate("sk-a")
    assert (principal.tenant, principal.priority, principal.weight) == ("shop", "core-proactive", 3)
    assert principal.may_use("m")
    assert not principal.may_use("n")
    key, tenant = principal.scopes
    assert (key.id, key.requests_per_minute, key.tokens_per_day) == ("key:a", 60, inf)
    assert (tenant.id, tenant.requests_per_minute, tenant.tokens_per_day) == ("tenant:shop", inf, 1000)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("keys: [{name: a, tenant: t, sha256: sk-plain}]", r"keys\.0\.sha256"),
        ("keys: [{name: a, sha256: " + DIGEST + "}]", r"keys\.0\.tenant"),
        ("keys: {", "not YAML"),
        ("", "dictionary"),
        (f"keys: [{{name: a, tenant: t, sha256: {DIGEST}, requests_per_minute: 0}}]", r"keys\.0\.requests_per_minute"),
        (f"keys: [{{name: a, tenant: t, sha256: {DIGEST}, requests_per_hour: 9}}]", r"keys\.0\.requests_per_hour"),
        (f"keys: [{{name: a/b, tenant: t, sha256: {DIGEST}}}]", r"keys\.0\.name"),
        ("tenants: {t: {weight: 0}}", r"tenants\.t\.weight"),
        (f"keys: [{{name: a, tenant: t, sha256: {DIGEST}}}, {{name: b, tenant: t, sha256: {DIGEST}}}]", "same sha256"),
        (
            f"keys: [{{name: a, tenant: t, sha256: {DIGEST}}}, {{name: a, tenant: t, sha256: {'f' * 64}}}]",
            "two of them are named 'a'",
        ),
    ],
)
def test_a_bad_key_file_names_the_field_and_shows_no_key(text: str, named: str, path: Path) -> None:
    path.write_text(text)
    with pytest.raises(KeyFileError, match=named) as caught:
        load_keys(path)
    assert "sk-plain" not in str(caught.value)
    assert DIGEST not in str(caught.value)


def test_keys_come_and_go_in_a_file_that_only_its_owner_reads(path: Path) -> None:
    add_key(path, Key(name="a", tenant="shop", sha256=DIGEST, models=frozenset({"m"})))
    add_key(path, Key(name="b", tenant="shop", sha256=digest("sk-b"), tokens_per_minute=5))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [key.name for key in load_keys(path).keys] == ["a", "b"]
    assert load_keys(path).keys[0].models == frozenset({"m"})
    assert remove_key(path, "a")
    assert not remove_key(path, "a")
    assert [(key.name, key.tokens_per_minute) for key in load_keys(path).keys] == [("b", 5)]


def test_a_name_is_taken_once(path: Path) -> None:
    add_key(path, Key(name="a", tenant="shop", sha256=DIGEST))
    with pytest.raises(KeyFileError, match="revoke it first"):
        add_key(path, Key(name="a", tenant="shop", sha256=digest("sk-b")))


def test_what_the_file_says_of_tenants_stays(path: Path) -> None:
    path.write_text("keys: []\ntenants: {shop: {weight: 3, requests_per_minute: 60}}")
    add_key(path, Key(name="a", tenant="shop", sha256=DIGEST))
    shop = load_keys(path).tenants["shop"]
    assert (shop.weight, shop.requests_per_minute, shop.tokens_per_day) == (3, 60, None)


def test_a_file_that_is_broken_is_not_written_over(path: Path) -> None:
    path.write_text("keys: {")
    with pytest.raises(KeyFileError):
        add_key(path, Key(name="a", tenant="shop", sha256=DIGEST))
    assert path.read_text() == "keys: {"


def test_of_changes_at_once_none_is_lost(path: Path) -> None:
    names = [f"k{i}" for i in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: add_key(path, Key(name=name, tenant="t", sha256=digest(name))), names))
    assert sorted(key.name for key in load_keys(path).keys) == sorted(names)


def test_the_comments_at_the_file_s_head_stay_as_it_is_written_anew(path: Path) -> None:
    add_key(path, Key(name="a", tenant="t", sha256=DIGEST))
    assert path.read_text().startswith("# Keys of Naru's gateway.")
    head = "# Ask the platform team first.\n\n"
    path.write_text(f"{head}keys:\n# the shop's\n- {{name: a, tenant: t, sha256: {DIGEST}}}\n")
    assert remove_key(path, "a")
    assert path.read_text() == f"{head}keys: []\n"
