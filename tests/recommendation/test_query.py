"""Every refusal names its field and what to send instead."""

import json

import pytest

from services.common.errors import InvalidField, InvalidRequest
from services.recommendation.query import Limits, Query, parse

LIMITS = Limits(max_k=20, max_history=3)


def test_an_empty_object_asks_for_ten_popular_items() -> None:
    assert parse(b"{}", LIMITS) == Query(user_id=None, history=[], k=10, exclude_seen=True)


def test_nulls_are_the_defaults() -> None:
    body = b'{"user_id": null, "history": null, "k": null, "exclude_seen": null}'
    assert parse(body, LIMITS) == Query()


def test_whole_numbers_are_taken_as_ids() -> None:
    query = parse(b'{"user_id": 7, "history": [50, "51"]}', LIMITS)
    assert (query.user_id, query.history) == ("7", ["50", "51"])


@pytest.mark.parametrize(
    ("document", "param", "said"),
    [
        ({"k": 0}, "k", "from 1 to 20"),
        ({"k": 21}, "k", "from 1 to 20"),
        ({"k": True}, "k", "whole number"),
        ({"k": "5"}, "k", "whole number"),
        ({"history": "50"}, "history", "list of item ids"),
        ({"history": ["a", None]}, "history", r"history\[1\] must be a string"),
        ({"history": [1.5]}, "history", "must be a string"),
        ({"history": ["a", "b", "c", "d"]}, "history", "4 items, the limit is 3"),
        ({"history": [""]}, "history", "1 to 256 characters"),
        ({"user_id": {}}, "user_id", "must be a string"),
        ({"user_id": True}, "user_id", "must be a string"),
        ({"user_id": "x" * 257}, "user_id", "1 to 256 characters"),
        ({"user_id": "\ud800"}, "user_id", "not valid Unicode"),
        ({"exclude_seen": "no"}, "exclude_seen", "true or false"),
        ({"top_k": 3}, "top_k", "the fields are user_id, history, k, exclude_seen"),
    ],
)
def test_a_wrong_field_is_named_with_its_remedy(document: dict[str, object], param: str, said: str) -> None:
    with pytest.raises(InvalidField, match=said) as caught:
        parse(json.dumps(document).encode(), LIMITS)
    assert caught.value.param == param


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 100_000, b'{"k":' + b"9" * 5000 + b"}"])
def test_what_is_no_json_object_is_malformed(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(body, LIMITS)
    assert caught.value.http_status == 400
