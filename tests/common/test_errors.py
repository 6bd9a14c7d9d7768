"""One error tree serves every edge."""

import http

import pytest

from services.common.errors import InvalidField, NaruError

GRPC_CODES = [
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
]


def tree(root: type[NaruError]) -> list[type[NaruError]]:
    return [root, *(leaf for child in root.__subclasses__() for leaf in tree(child))]


@pytest.mark.parametrize("error", tree(NaruError))
def test_every_error_can_be_said_on_both_edges(error: type[NaruError]) -> None:
    assert error.grpc_code in GRPC_CODES
    assert error.http_status == 499 or http.HTTPStatus(error.http_status)
    assert error.reason.replace("_", "").isalpha()


def test_the_envelope_is_openais() -> None:
    error = InvalidField("k: too large", param="k")
    assert error.envelope() == {
        "error": {
            "message": "k: too large", "type": "invalid_request_error", "param": "k", "code": "invalid_field",
        }
    }  # fmt: skip
