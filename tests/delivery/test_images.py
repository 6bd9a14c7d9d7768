"""Every image of the Dockerfile: what is in it, and what it does as an unknown user with a read-only root."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.gateway.compiled import GROUP, VARIABLE
from tests.delivery.conftest import KEY, Engine, Stack, writable
from tests.delivery.machine import Image
from tests.support.ports import free_ports

COMPILERS = ("as", "c++", "cc", "clang", "g++", "gcc", "go", "ld", "make", "rustc", "tcc")
PORTS = {"gateway": {8080, 8081, 8082}, "sentiment": {8200}, "recommendation": {8300}, "llm-cpu": {8100}}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800, func_only=False)]


def ask(stack: Stack, path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{stack.url}{path}", json.dumps(body).encode(), {"authorization": f"Bearer {KEY}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def size(image: Image) -> int:
    """Bytes of all its files."""
    return sum(path.lstat().st_size for path in image.root.rglob("*") if not path.is_dir())


def test_a_request_through_the_built_gateway_answers(stack: Stack) -> None:
    found = ask(stack, "/v1/sentiment", {"input": ["What a lovely ferry ride!", "정말 지루한 영화였다"]})
    assert [result["label"] for result in found["results"]] == ["positive", "negative"]
    found = ask(stack, "/v1/recommendations", {"history": ["50", "172"], "k": 3})
    assert (found["strategy"], len(found["items"])) == ("history", 3)


def test_only_the_paths_that_are_documented_are_written(stack: Stack) -> None:
    ask(stack, "/v1/sentiment", {"input": "a good film"})
    ask(stack, "/v1/recommendations", {"user_id": "196"})
    assert stack.gateway.container.written() == {}
    for started in (stack.sentiment, stack.recommendation):
        written = started.container.written()
        assert written.keys() == set(writable(started.container.image.name))
        assert all(written.values()), f"{started.container.image.name} leaves nothing in one of {written}"


def test_the_root_of_a_started_image_is_read_only(stack: Stack) -> None:
    refused = stack.gateway.container.ask("touch", "/opt/naru/here", "/tmp/here", "/dev/shm/here")
    assert refused.stderr.count("Read-only file system") == 3
    assert stack.gateway.container.ask("id", "--user").stdout.strip() == str(stack.gateway.container.user)


def test_the_health_check_of_each_image_sees_it_healthy(stack: Stack) -> None:
    for started in (stack.gateway, stack.sentiment, stack.recommendation):
        kind, *command = started.container.image.config["Healthcheck"]["Test"]
        found = started.container.ask(*command)
        assert (kind, found.returncode, found.stderr) == ("CMD", 0, "")


def test_a_gateway_is_ready_within_three_seconds(stack: Stack, engine: Engine) -> None:
    """Of its own processor time: how long that takes on a busy machine is not the image's doing."""
    http, grpc, admin = free_ports(3)
    [registry] = stack.gateway.container.mounts
    variables = {
        "NARU_API_KEY": KEY, "NARU_GATEWAY__HTTP__PORT": str(http), "NARU_GATEWAY__GRPC__PORT": str(grpc),
        "NARU_GATEWAY__ADMIN__PORT": str(admin),
    }  # fmt: skip
    started = engine.start("gateway", http, variables, registry)
    started.until_ready("/readyz", admin)
    spent = psutil.Process(started.process.pid).cpu_times()
    print(f"gateway: ready after {spent.user + spent.system:.2f} s of processor time")
    assert spent.user + spent.system < 3
    assert started.stop() == 0


def test_the_gateways_own_layers_are_small_and_hold_no_torch_and_no_pip(engine: Engine) -> None:
    own = size(engine.images["gateway"]) - size(engine.base)
    print(f"gateway: {own / 1e6:.0f} MB on top of the base")
    assert own < 150e6
    packages = engine.images["gateway"].root / "opt/venv/lib/python3.11/site-packages"
    assert not any((packages / name).exists() for name in ("torch", "vllm", "bentoml", "numpy", "pip", "setuptools"))


def test_the_gateway_runs_the_compiled_hot_path_unless_it_is_told_not_to(stack: Stack) -> None:
    loaded = {Path(mapped.path).name for mapped in psutil.Process(stack.gateway.process.pid).memory_maps()}
    assert any(name.startswith(GROUP) for name in loaded)
    code = (
        "from services.gateway import compiled; from services.gateway.relay import relay; "
        "print(compiled.in_use(), relay.__file__)"
    )
    ask_python = ("python", "-c", code)
    found = stack.gateway.container.ask(*ask_python)
    in_use, file = found.stdout.split()
    assert (in_use, Path(file).suffix, Path(file).parts[:3]) == ("True", ".so", ("/", "opt", "naru-compiled"))
    found = stack.gateway.container.ask("env", f"{VARIABLE}=", *ask_python)
    assert found.stdout.split() == ["False", "/opt/naru/services/gateway/relay/relay.py"]


def test_no_other_image_holds_what_was_compiled(engine: Engine) -> None:
    found = {name: any((image.root / "opt").rglob(f"{GROUP}*.so")) for name, image in engine.images.items()}
    assert [name for name, holds in found.items() if holds] == ["gateway"]


def test_the_gateway_can_still_watch_a_cluster(stack: Stack) -> None:
    """Its image leaves out most of Kubernetes' client."""
    code = "from services.gateway.upstream.discovery import cluster; cluster.DiscoveryV1Api(cluster.ApiClient)"
    found = stack.gateway.container.ask("python", "-c", code)
    assert (found.returncode, found.stderr) == (0, "")


def test_no_image_holds_a_compiler(engine: Engine) -> None:
    for image in engine.images.values():
        folders = [image.root / folder.lstrip("/") for folder in image.variables["PATH"].split(":")]
        assert [str(folder / name) for folder in folders for name in COMPILERS if (folder / name).exists()] == []


def test_every_image_says_what_it_is_and_is_not_run_as_root(engine: Engine) -> None:
    for name, image in engine.images.items():
        labels = {
            label.removeprefix("org.opencontainers.image."): text for label, text in image.config["Labels"].items()
        }
        assert labels["title"] == f"naru-{name}"
        assert labels.keys() >= {"description", "source", "licenses", "revision", "version", "documentation"}
        assert image.config["User"] == "65532:65532"
        assert image.config["ExposedPorts"].keys() == {f"{port}/tcp" for port in PORTS[name]}


def test_bytecode_is_in_the_image_for_a_root_that_cannot_keep_it(engine: Engine) -> None:
    for image in engine.images.values():
        for source in ("opt/naru/services/common/errors.py", "opt/venv/lib/python3.11/site-packages/yaml/__init__.py"):
            file = image.root / source
            assert (file.parent / "__pycache__" / f"{file.stem}.cpython-311.pyc").exists()


def test_vllm_answers_from_its_image(engine: Engine) -> None:
    if engine.lacking is not None:
        pytest.skip(f"the image of vLLM is not built: {engine.lacking}")
    [port] = free_ports(1)
    started = engine.start("llm-cpu", port, {"NARU_LLM__PORT": str(port)}, *engine.builder.package_index())
    started.until_ready("/health", within=600)
    body = {"model": "smollm2-135m-instruct", "prompt": "A ferry is", "max_tokens": 8}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        assert json.load(answer)["usage"]["completion_tokens"] == 8
    written = started.container.written()
    assert written.keys() == set(writable("llm-cpu"))
    assert started.stop() == 0


def test_a_stopped_image_ends_by_itself(stack: Stack) -> None:
    assert [started.stop() for started in (stack.gateway, stack.sentiment, stack.recommendation)] == [0, 0, 0]
