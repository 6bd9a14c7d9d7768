"""Keys are held as digests."""

import gc

import pytest

from services.common.errors import Unauthenticated
from services.gateway.policy.authenticate import Authenticator
from services.gateway.policy.keyfile import development_key
from services.gateway.policy.keyring import Keyring


def test_no_key_is_kept_in_the_clear() -> None:
    authenticator = Authenticator(Keyring([development_key("sk-secret")]))
    assert "sk-secret" not in repr(gc.get_referents(authenticator))  # all that it holds, compiled or not
    for wrong in (None, "", "sk-secre", "sk-secret "):
        with pytest.raises(Unauthenticated):
            authenticator.authenticate(wrong)


def test_a_key_that_was_let_in_before_is_refused_once_the_keyring_has_it_no_more() -> None:
    authenticator = Authenticator(Keyring([development_key("sk-secret")]))
    assert authenticator.authenticate("sk-secret").tenant == "development"
    authenticator.use(Keyring([]))
    with pytest.raises(Unauthenticated):
        authenticator.authenticate("sk-secret")
