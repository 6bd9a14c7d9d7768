"""Recommendation as tensors: users or a history in; items, their scores and the strategy out."""

from collections.abc import Sequence
from typing import Any

from services.gateway.api.oip.signature import Body, Inputs, Parameters, Signature, TensorSpec, wrong
from services.gateway.api.oip.tensors import Tensor
from services.gateway.api.tasks import RECOMMENDATION

MOST_USERS = 64
"""Users of one request: each is a call of its own to the model's service, all at the same time."""
_OPTIONS = ("k", "exclude_seen")


def _bodies(inputs: Inputs, parameters: Parameters) -> list[Body]:
    options = _options(inputs, parameters)
    users = inputs["user_id"].elements if "user_id" in inputs else []
    if "history" in inputs:
        options["history"] = inputs["history"].elements
        if len(users) > 1:
            raise wrong("history", f"it belongs to one user, 'user_id' has {len(users)}")
        if not users:
            return [options]
    if not users:
        raise wrong("user_id", "it is missing or empty: give users, a history, or a user with a history")
    if len(users) > MOST_USERS:
        raise wrong("user_id", f"it has {len(users)} users, the limit is {MOST_USERS}; send several requests")
    return [{**options, "user_id": user} for user in users]


def _options(inputs: Inputs, parameters: Parameters) -> Body:
    """`k` and `exclude_seen`, each from an input or, for clients that prefer that, from the request's parameters."""
    options: Body = {}
    for name in _OPTIONS:
        if name in inputs and name in parameters:
            raise wrong(name, "it is given as an input and as a parameter")
        if name in inputs:
            options[name] = inputs[name].elements[0]
        elif name in parameters:
            options[name] = parameters[name]
    return options


def _tensors(_: Inputs, answers: Sequence[Any]) -> list[Tensor]:
    """A user who gets fewer items than another has the rest of the row filled with empty ids of score 0."""
    lists = [answer["items"] for answer in answers]
    width = max(map(len, lists))
    rows = [[*items, *[{"id": "", "score": 0.0}] * (width - len(items))] for items in lists]
    shape = (len(rows), width)
    return [
        Tensor("item_id", "BYTES", shape, [str(item["id"]) for row in rows for item in row]),
        Tensor("score", "FP64", shape, [float(item["score"]) for row in rows for item in row]),
        Tensor("strategy", "BYTES", shape[:1], [str(answer["strategy"]) for answer in answers]),
    ]


SIGNATURE = Signature(
    RECOMMENDATION,
    inputs=(
        TensorSpec("user_id", ("BYTES", "INT64", "INT32"), ((-1,), (-1, 1)), optional=True),
        TensorSpec("history", ("BYTES", "INT64", "INT32"), ((-1,), (1, -1)), optional=True),
        TensorSpec("k", ("INT64", "INT32"), ((1,), (1, 1)), optional=True),
        TensorSpec("exclude_seen", ("BOOL",), ((1,), (1, 1)), optional=True),
    ),
    outputs=(
        TensorSpec("item_id", ("BYTES",), ((-1, -1),)),
        TensorSpec("score", ("FP64",), ((-1, -1),)),
        TensorSpec("strategy", ("BYTES",), ((-1,),)),
    ),
    bodies=_bodies, tensors=_tensors, fields={},
)  # fmt: skip
