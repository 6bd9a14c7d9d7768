"""Clients that nobody here wrote work by changing an address: Triton's over HTTP and gRPC, KServe's over both."""

import asyncio
from typing import Any

import pytest

from tests.gateway.oip.conftest import Served
from tests.support.gateway import BEARER
from tests.support.oip.official import Official

TRANSPORTS = pytest.mark.parametrize("transport", ["http", "grpc"])
SENTIMENT = {
    "label": ["positive", "negative"], "score": [0.75, 0.7], "scores": [[0.1, 0.15, 0.75], [0.7, 0.2, 0.1]],
}  # fmt: skip


def address(served: Served, transport: str) -> str:
    port = served.gateway.port if transport == "http" else served.gateway.gateway.grpc.port
    return f"127.0.0.1:{port}"


class Triton:
    """Triton's client against the gateway over one transport."""

    def __init__(self, official: Official, served: Served, transport: str) -> None:
        self._official = official
        self._common = {"transport": transport, "address": address(served, transport)}

    async def call(self, function: str, **arguments: Any) -> Any:
        return await asyncio.to_thread(self._official.call, function, **self._common, **arguments)

    async def infer(self, model: str, inputs: dict[str, tuple[str, Any]], **more: Any) -> Any:
        return await self.call("infer", headers=BEARER, model=model, inputs=inputs, **more)


@pytest.fixture(params=["http", "grpc"])
def client(triton: Official, served: Served, request: pytest.FixtureRequest) -> Triton:
    return Triton(triton, served, request.param)


async def test_triton_sees_what_is_live_and_ready(client: Triton, served: Served) -> None:
    models = [["sentiment", ""], ["sentiment", "v2"], ["m", ""]]
    assert await client.call("health", models=models) == {"live": True, "ready": True, "models": [True] * 3}
    await served.until_v2_is_down()
    assert (await client.call("health", models=models))["models"] == [True, False, True]


async def test_triton_reads_metadata(client: Triton) -> None:
    found = await client.call("metadata", headers=BEARER, model="sentiment")
    assert (found["server"]["name"], found["server"]["extensions"]) == ("naru", ["binary_tensor_data"])
    assert (found["model"]["name"], found["model"]["versions"]) == ("sentiment", ["v1", "v2"])
    tensors = {t["name"]: (t["datatype"], [int(size) for size in t["shape"]])
               for t in [*found["model"]["inputs"], *found["model"]["outputs"]]}  # fmt: skip
    assert tensors == {
        "text": ("BYTES", [-1]), "label": ("BYTES", [-1]), "score": ("FP64", [-1]), "scores": ("FP64", [-1, 3]),
    }  # fmt: skip


@pytest.mark.parametrize("binary", [True, False])
async def test_triton_infers_with_binary_and_with_json_data(client: Triton, served: Served, binary: bool) -> None:
    outputs = None if binary else {"label": False, "score": False, "scores": False}
    answer = await client.infer(
        "sentiment", {"text": ("BYTES", ["good 👍", "나쁜"])}, binary=binary, outputs=outputs, request_id="42"
    )
    assert answer == {"id": "42", "model": "sentiment", "version": "v1", "outputs": SENTIMENT}
    assert served.v1.received[0].json == {"input": ["good 👍", "나쁜"]}


async def test_triton_asks_for_some_outputs(client: Triton) -> None:
    inputs = {"text": ("BYTES", [["good"], ["bad"]])}
    answer = await client.infer("sentiment", inputs, outputs={"scores": True, "label": False})
    assert list(answer["outputs"]) == ["scores", "label"]
    assert answer["outputs"] == {name: SENTIMENT[name] for name in ("scores", "label")}


async def test_triton_gives_several_inputs(client: Triton, served: Served) -> None:
    inputs = {"user_id": ("INT64", [196, 2]), "k": ("INT32", [2]), "exclude_seen": ("BOOL", [False])}
    answer = await client.infer("recommendation", inputs)
    assert answer["outputs"]["item_id"] == [["196-0", "196-1"], ["2-0", "2-1"]]
    assert answer["outputs"]["score"] == [[1.0, 0.5], [1.0, 0.5]]
    assert answer["outputs"]["strategy"] == ["personalised", "personalised"]
    sent = sorted(received.json["user_id"] for received in served.recommender.received)
    assert sent == [2, 196]
    assert all(received.json["exclude_seen"] is False for received in served.recommender.received)


async def test_triton_gives_a_history_and_parameters(client: Triton, served: Served) -> None:
    inputs = {"history": ("BYTES", [["50", "181"]])}
    answer = await client.infer("recommendation", inputs, parameters={"k": 3})
    assert len(answer["outputs"]["item_id"][0]) == 3
    assert served.recommender.received[0].json["history"] == ["50", "181"]


async def test_triton_selects_a_version(client: Triton, served: Served) -> None:
    inputs = {"text": ("BYTES", ["good", "bad"])}
    answer = await client.infer("sentiment", inputs, model_version="v2")
    assert (answer["version"], len(served.v1.received), len(served.v2.received)) == ("v2", 0, 1)
    refused = await client.infer("sentiment", inputs, model_version="v9")
    assert refused["status"] in ("404", "StatusCode.NOT_FOUND")


async def test_triton_is_told_which_tensor_is_wrong(client: Triton, served: Served) -> None:
    wrong: list[tuple[dict[str, tuple[str, Any]], str]] = [
        ({"text": ("FP32", [1.0])}, "text"),
        ({"text": ("BYTES", [["good", "bad"]])}, "text"),
        ({"txt": ("BYTES", ["good"])}, "txt"),
        ({"text": ("BYTES", ["good"]), "more": ("BYTES", ["good"])}, "more"),
        ({"text": ("BYTES", [""])}, "text"),
    ]
    for inputs, name in wrong:
        refused = await client.infer("sentiment", inputs)
        assert refused["status"] in ("400", "StatusCode.INVALID_ARGUMENT"), inputs
        assert f"'{name}'" in refused["message"], inputs
    refused = await client.infer("sentiment", {"text": ("BYTES", ["good"])}, outputs={"logits": True})
    assert "'logits'" in refused["message"]
    refused = await client.infer("recommendation", {"user_id": ("FP32", [float("nan")])}, binary=False)
    assert "'user_id'" in refused["message"]
    assert not served.v1.received
    assert not served.recommender.received


async def test_triton_without_a_key_is_refused(client: Triton) -> None:
    refused = await client.call("infer", headers={}, model="sentiment", inputs={"text": ("BYTES", ["good"])})
    assert refused["status"] in ("401", "StatusCode.UNAUTHENTICATED")


@TRANSPORTS
async def test_kserve_health_and_inference(transport: str, kserve: Official, served: Served) -> None:
    scheme = "http://" if transport == "http" else ""
    common = {"transport": transport, "address": scheme + address(served, transport), "model": "sentiment"}
    health = await asyncio.to_thread(kserve.call, "health", **common)
    assert health == {"live": True, "ready": True, "model": True}
    inputs = {"text": ("BYTES", [2], ["good", "bad"])}
    answer = await asyncio.to_thread(kserve.call, "infer", **common, headers=BEARER, inputs=inputs)
    # KServe's HTTP client does not read the version of an answer.
    assert answer == {"id": "42", "version": "v1" if transport == "grpc" else None, "outputs": SENTIMENT}
    wrong: dict[str, tuple[str, list[int], list[Any]]] = {"text": ("FP32", [1], [1.0])}
    refused = await asyncio.to_thread(kserve.call, "infer", **common, headers=BEARER, inputs=wrong)
    assert refused["status"] in (400, "INVALID_ARGUMENT")
    assert "'text'" in refused["message"]
