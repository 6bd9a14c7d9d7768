"""The glance at a body changes nothing but what metering has to ask for."""

import json

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.api.glance import glance

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
FIELDS = st.dictionaries(st.text().filter(lambda k: k not in ("model", "stream", "stream_options")), JSON)


@given(FIELDS, st.booleans(), st.sampled_from([None, {}, {"include_usage": False}, {"continuous_usage_stats": True}]))
def test_only_usage_is_asked_for(fields: dict[str, object], indent: bool, options: dict[str, bool] | None) -> None:
    body = {"model": "m", "stream": True, **fields} | ({} if options is None else {"stream_options": options})
    seen = glance(json.dumps(body, indent=1 if indent else None).encode(), asks_for_usage=True)
    expected = {**body, "stream_options": {**(options or {}), "include_usage": True}}
    assert json.loads(seen.body) == expected
    assert seen.hide_usage


@given(FIELDS)
def test_an_unstreamed_body_is_the_clients_own(fields: dict[str, object]) -> None:
    body = json.dumps({"model": "m", **fields}).encode()
    assert glance(body, asks_for_usage=True).body is body


def test_a_client_that_asked_gets_its_body_and_its_usage() -> None:
    body = b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'
    seen = glance(body, asks_for_usage=True)
    assert seen.body is body
    assert not seen.hide_usage


def test_a_null_option_is_no_obstacle() -> None:
    seen = glance(b'{"stream_options":null,"model":"m","stream":true}', asks_for_usage=True)
    assert json.loads(seen.body)["stream_options"] == {"include_usage": True}
