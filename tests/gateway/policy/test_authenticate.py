"""Keys are held as digests; a bad key file is refused with the reason."""

import hashlib
from pathlib import Path

import pytest

from services.common.errors import Unauthenticated
from services.gateway.policy.authenticate import Authenticator, KeyFileError, development_key, load_keys

DIGEST = hashlib.sha256(b"sk-a").hexdigest()


def test_a_key_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text(f"keys: [{{name: a, tenant: shop, sha256: {DIGEST}, models: [m]}}]")
    principal = Authenticator(load_keys(path)).authenticate("sk-a")
    assert principal.tenant == "shop"
    assert principal.may_use("m")
    assert not principal.may_use("n")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("keys: [{name: a, tenant: t, sha256: sk-plain}]", r"keys\.0\.sha256"),
        ("keys: [{name: a, sha256: " + DIGEST + "}]", r"keys\.0\.tenant"),
        ("keys: {", "not YAML"),
    ],
)
def test_a_bad_key_file_names_the_field_and_shows_no_key(text: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text(text)
    with pytest.raises(KeyFileError, match=named) as caught:
        load_keys(path)
    assert "sk-plain" not in str(caught.value)


def test_no_key_is_kept_in_the_clear() -> None:
    authenticator = Authenticator([development_key("sk-secret")])
    assert "sk-secret" not in repr(vars(authenticator))
    for wrong in (None, "", "sk-secre", "sk-secret "):
        with pytest.raises(Unauthenticated):
            authenticator.authenticate(wrong)
