"""The Open Inference Protocol over gRPC, field by field where clients would hide it."""

import asyncio
import hashlib
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.common.pb.inference import grpc_service_pb2 as pb
from services.common.pb.inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from services.gateway.policy.keyfile import Key
from tests.gateway.oip import models
from tests.gateway.oip.conftest import Served
from tests.support.engine import Received, Wire, engine
from tests.support.gateway import KEY, running

BEARER = (("authorization", f"Bearer {KEY}"),)
NOTHING = pb.InferTensorContents()


@pytest.fixture
async def stub(served: Served) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{served.gateway.gateway.grpc.port}") as channel:
        yield GRPCInferenceServiceStub(channel)


def typed(name: str, datatype: str, shape: list[int], **contents: Any) -> pb.ModelInferRequest.InferInputTensor:
    return pb.ModelInferRequest.InferInputTensor(
        name=name, datatype=datatype, shape=shape, contents=pb.InferTensorContents(**contents)
    )


def bare(name: str, datatype: str, shape: list[int]) -> pb.ModelInferRequest.InferInputTensor:
    return pb.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape)


def asked(model: str, *inputs: pb.ModelInferRequest.InferInputTensor, **more: Any) -> pb.ModelInferRequest:
    return pb.ModelInferRequest(model_name=model, inputs=inputs, **more)


GOOD = typed("text", "BYTES", [1], bytes_contents=[b"good"])


async def refusal(call: Any) -> tuple[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code().name, caught.value.details() or ""


async def test_typed_contents_in_typed_contents_out(stub: Any, served: Served) -> None:
    texts = typed("text", "BYTES", [2], bytes_contents=[b"good", "나쁜".encode()])
    answer = await stub.ModelInfer(asked("sentiment", texts, id="42"), metadata=BEARER)
    assert served.v1.received[0].json == {"input": ["good", "나쁜"]}
    assert (answer.model_name, answer.model_version, answer.id) == ("sentiment", "v1", "42")
    assert not answer.raw_output_contents
    label, score, scores = answer.outputs
    assert (label.name, label.datatype, list(label.shape)) == ("label", "BYTES", [2])
    assert list(label.contents.bytes_contents) == [b"positive", b"negative"]
    assert list(score.contents.fp64_contents) == [0.75, 0.7]
    assert list(scores.shape) == [2, 3]
    assert scores.parameters["classes"].string_param == "negative,neutral,positive"


async def test_raw_contents_in_raw_contents_out(stub: Any) -> None:
    request = asked(
        "sentiment", bare("text", "BYTES", [1]), raw_input_contents=[b"\x04\0\0\0good"],
        outputs=[pb.ModelInferRequest.InferRequestedOutputTensor(name="label")],
    )  # fmt: skip
    answer = await stub.ModelInfer(request, metadata=BEARER)
    assert [output.name for output in answer.outputs] == ["label"]
    assert not answer.outputs[0].HasField("contents")
    assert list(answer.raw_output_contents) == [b"\x08\0\0\0positive"]


async def test_users_and_parameters(stub: Any, served: Served) -> None:
    request = asked("recommendation", typed("user_id", "INT64", [2], int64_contents=[196, 2]))
    request.parameters["k"].int64_param = 2
    request.parameters["exclude_seen"].bool_param = False
    answer = await stub.ModelInfer(request, metadata=BEARER)
    assert list(answer.outputs[0].contents.bytes_contents) == [b"196-0", b"196-1", b"2-0", b"2-1"]
    assert all((r.json["k"], r.json["exclude_seen"]) == (2, False) for r in served.recommender.received)


async def test_an_answer_says_what_answered(stub: Any, served: Served) -> None:
    call = stub.ModelInfer(asked("sentiment", GOOD, model_version="v2"), metadata=BEARER)
    assert (await call).model_version == "v2"
    trailing = dict(await call.trailing_metadata())
    assert (trailing["x-naru-model"], trailing["x-naru-version"]) == ("sentiment", "v2")
    assert trailing["x-naru-endpoint"] in served.v2.url
    assert trailing["x-request-id"]
    assert await served.gateway.outcome("ok", operation="sentiment", version="v2") == 1


async def test_metadata_has_the_classes_and_what_is_optional(stub: Any) -> None:
    found = await stub.ModelMetadata(pb.ModelMetadataRequest(name="sentiment"), metadata=BEARER)
    assert list(found.versions) == ["v1", "v2"]
    assert found.outputs[2].parameters["classes"].string_param == "negative,neutral,positive"
    found = await stub.ModelMetadata(pb.ModelMetadataRequest(name="recommendation"), metadata=BEARER)
    assert all(spec.parameters["optional"].bool_param for spec in found.inputs)
    found = await stub.ModelMetadata(pb.ModelMetadataRequest(name="m"), metadata=BEARER)
    assert "POST /v1/chat/completions" in found.parameters["served_at"].string_param


async def test_what_is_not_served_is_not_found(stub: Any) -> None:
    for call in (
        stub.ModelReady(pb.ModelReadyRequest(name="nope")),
        stub.ModelReady(pb.ModelReadyRequest(name="sentiment", version="v9")),
        stub.ModelMetadata(pb.ModelMetadataRequest(name="sentiment", version="v9"), metadata=BEARER),
        stub.ModelInfer(asked("sentiment", GOOD, model_version="v9"), metadata=BEARER),
        stub.ModelInfer(asked("m", GOOD), metadata=BEARER),
    ):
        assert (await refusal(call))[0] == "NOT_FOUND"


async def test_health_needs_no_key_and_everything_else_does(stub: Any) -> None:
    assert (await stub.ServerLive(pb.ServerLiveRequest())).live
    assert (await stub.ServerReady(pb.ServerReadyRequest())).ready
    assert (await stub.ModelReady(pb.ModelReadyRequest(name="m", version="v1"))).ready
    assert (await stub.ServerMetadata(pb.ServerMetadataRequest())).name == "naru"
    assert (await refusal(stub.ModelMetadata(pb.ModelMetadataRequest(name="sentiment"))))[0] == "UNAUTHENTICATED"
    assert (await refusal(stub.ModelInfer(asked("sentiment", GOOD))))[0] == "UNAUTHENTICATED"


async def test_a_key_reaches_its_own_models_only(tmp_path: Path) -> None:
    key = Key(name="o", tenant="t", models=frozenset({"m"}), sha256=hashlib.sha256(b"sk-other").hexdigest())
    async with engine(models.sentiment) as upstream:
        registry = models.registry(*[upstream.url] * 4)
        async with running(registry, tmp_path, keys=[key]) as gateway:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{gateway.gateway.grpc.port}") as channel:
                stub: Any = GRPCInferenceServiceStub(channel)
                other = (("authorization", "Bearer sk-other"),)
                assert (await refusal(stub.ModelInfer(asked("sentiment", GOOD), metadata=other)))[0] == (
                    "PERMISSION_DENIED"
                )
            answer = await gateway.http.post(
                "/v2/models/sentiment/infer", json={}, headers={"authorization": "Bearer sk-other"}
            )
            assert answer.status_code in (400, 403)


HUGE = 2**31
MALFORMED: dict[str, tuple[pb.ModelInferRequest, str]] = {
    "missing": (asked("sentiment"), "text"),
    "twice": (asked("sentiment", GOOD, GOOD), "text"),
    "unknown": (asked("sentiment", GOOD, typed("txt", "BYTES", [1], bytes_contents=[b"a"])), "txt"),
    "another datatype": (asked("sentiment", typed("text", "FP32", [1], fp32_contents=[1.0])), "text"),
    "another shape": (asked("sentiment", typed("text", "BYTES", [1, 2], bytes_contents=[b"a", b"b"])), "text"),
    "negative": (asked("sentiment", typed("text", "BYTES", [-1], bytes_contents=[b"a"])), "text"),
    "negative twice": (asked("recommendation", typed("history", "BYTES", [-1, -1], bytes_contents=[b"a"])), "history"),
    "too few": (asked("sentiment", typed("text", "BYTES", [2], bytes_contents=[b"a"])), "text"),
    "too many": (asked("sentiment", typed("text", "BYTES", [1], bytes_contents=[b"a", b"b"])), "text"),
    "another field": (asked("sentiment", typed("text", "BYTES", [1], int64_contents=[1])), "text"),
    "nothing": (asked("sentiment", bare("text", "BYTES", [1])), "text"),
    "not UTF-8": (asked("sentiment", typed("text", "BYTES", [1], bytes_contents=[b"\xff"])), "text"),
    "not UTF-8, raw": (
        asked("sentiment", bare("text", "BYTES", [1]), raw_input_contents=[b"\x01\0\0\0\xff"]), "text",
    ),
    "claims 2^31": (asked("sentiment", typed("text", "BYTES", [HUGE], bytes_contents=[b"a"])), "text"),
    "claims 2^31, raw": (asked("sentiment", bare("text", "BYTES", [HUGE]), raw_input_contents=[b"\0\0\0\0"]), "text"),
    "an element of 2^31 bytes": (
        asked("sentiment", bare("text", "BYTES", [1]), raw_input_contents=[b"\0\0\0\x80good"]), "text",
    ),
    "wrong length": (asked("recommendation", bare("user_id", "INT64", [1]), raw_input_contents=[b"12345"]), "user_id"),
    "contents twice": (asked("sentiment", GOOD, raw_input_contents=[b"\x01\0\0\0a"]), "text"),
    "a NaN user": (asked("recommendation", typed("user_id", "FP64", [1], fp64_contents=[float("nan")])), "user_id"),
    "a NaN that is said to be an integer": (
        asked("recommendation", typed("user_id", "INT64", [1], fp64_contents=[float("nan")])), "user_id",
    ),
    "an unknown output": (
        asked("sentiment", GOOD, outputs=[pb.ModelInferRequest.InferRequestedOutputTensor(name="logits")]), "logits",
    ),
}  # fmt: skip


async def test_a_malformed_tensor_is_invalid_argument_and_named(stub: Any, served: Served) -> None:
    for case, (request, name) in MALFORMED.items():
        code, message = await refusal(stub.ModelInfer(request, metadata=BEARER))
        assert (code, f"'{name}'" in message) == ("INVALID_ARGUMENT", True), (case, message)
    assert not served.v1.received
    assert not served.recommender.received
    assert (await stub.ModelInfer(asked("sentiment", GOOD), metadata=BEARER)).model_version == "v1"


async def test_malformed_tensors_grow_no_memory(stub: Any) -> None:
    requests = [request for request, _ in MALFORMED.values()]
    await refusal(stub.ModelInfer(requests[0], metadata=BEARER))
    tracemalloc.start()
    try:
        for request in requests:
            await refusal(stub.ModelInfer(request, metadata=BEARER))
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


async def test_as_many_raw_contents_as_inputs(stub: Any) -> None:
    request = asked("sentiment", bare("text", "BYTES", [1]), raw_input_contents=[b"\x01\0\0\0a", b""])
    assert (await refusal(stub.ModelInfer(request, metadata=BEARER)))[0] == "INVALID_ARGUMENT"


async def test_one_bad_tensor_leaves_other_requests_alone(stub: Any) -> None:
    async def ask(index: int) -> str:
        bad = typed("text", "BYTES", [HUGE], bytes_contents=[b"good"])
        call = stub.ModelInfer(asked("sentiment", GOOD if index % 3 else bad), metadata=BEARER)
        try:
            return str((await call).model_version)
        except grpc.aio.AioRpcError as error:
            return error.code().name

    expected = ["v1" if index % 3 else "INVALID_ARGUMENT" for index in range(24)]
    assert await asyncio.gather(*map(ask, range(24))) == expected


async def test_a_cancelled_call_stops_the_service(stub: Any, served: Served) -> None:
    async def never(_: Received, __: Wire) -> None:
        await asyncio.Event().wait()

    served.v1.script = never
    call = stub.ModelInfer(asked("sentiment", GOOD), metadata=BEARER)
    await asyncio.sleep(0.1)
    call.cancel()
    await asyncio.wait_for(served.v1.left.wait(), 20)
    await served.gateway.until_outcome("client_cancelled")


async def test_a_deadline_stops_the_services_of_every_user(stub: Any, served: Served) -> None:
    async def never(_: Received, __: Wire) -> None:
        await asyncio.Event().wait()

    served.recommender.script = never
    users = typed("user_id", "INT64", [3], int64_contents=[1, 2, 3])
    code, _ = await refusal(stub.ModelInfer(asked("recommendation", users), metadata=BEARER, timeout=0.3))
    assert code == "DEADLINE_EXCEEDED"
    await served.gateway.until_outcome("deadline_exceeded", 3)
    assert served.recommender.running == 0


async def test_a_service_that_fails_is_counted_once(stub: Any, served: Served) -> None:
    async def fail(_: Received, wire: Wire) -> None:
        await wire.whole(500, {"error": {"message": "secret traceback"}})

    served.v1.script = fail
    code, message = await refusal(stub.ModelInfer(asked("sentiment", GOOD), metadata=BEARER))
    assert (code, "secret" in message) == ("UNAVAILABLE", False)
    assert await served.gateway.value("naru_requests_total", operation="sentiment") == 1
    assert await served.gateway.value("naru_requests_total", operation="inference") == 0
