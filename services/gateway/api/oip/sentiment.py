"""Sentiment as tensors: texts in; label, score and scores out."""

from collections.abc import Sequence
from typing import Any

from services.gateway.api.oip.signature import Body, Inputs, Parameters, Signature, TensorSpec
from services.gateway.api.oip.tensors import Tensor
from services.gateway.api.tasks import SENTIMENT

CLASSES = ("negative", "neutral", "positive")
"""The columns of `scores`."""
_NAMED = (("classes", ",".join(CLASSES)),)


def _bodies(inputs: Inputs, _: Parameters) -> list[Body]:
    return [{"input": inputs["text"].elements}]


def _tensors(inputs: Inputs, answers: Sequence[Any]) -> list[Tensor]:
    results = [result for _, result in zip(inputs["text"].elements, answers[0]["results"], strict=True)]
    rows = (len(results),)
    scores = [float(result["scores"][name]) for result in results for name in CLASSES]
    return [
        Tensor("label", "BYTES", rows, [str(result["label"]) for result in results]),
        Tensor("score", "FP64", rows, [float(result["score"]) for result in results]),
        Tensor("scores", "FP64", (*rows, len(CLASSES)), scores, _NAMED),
    ]


SIGNATURE = Signature(
    SENTIMENT,
    inputs=(TensorSpec("text", ("BYTES",), ((-1,), (-1, 1))),),
    outputs=(
        TensorSpec("label", ("BYTES",), ((-1,),)),
        TensorSpec("score", ("FP64",), ((-1,),)),
        TensorSpec("scores", ("FP64",), ((-1, len(CLASSES)),), parameters=_NAMED),
    ),
    bodies=_bodies, tensors=_tensors, fields={"input": "text"},
)  # fmt: skip
