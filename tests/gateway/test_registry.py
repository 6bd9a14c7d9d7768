"""A registry file that cannot be used says which field is wrong."""

from pathlib import Path

import pytest

from services.gateway.registry import Registry, RegistryError, Task, load

GOOD = """
models:
  chatty:
    task: chat
    versions:
      v1: {endpoints: [http://127.0.0.1:8100/], weight: 90}
      v2: {endpoints: [http://127.0.0.1:8101], weight: 10}
    role: {criticality: complementary, trigger: proactive, adaptation: dynamic}
    slo: {ttft: 500ms, tpot: 0.05, availability: 99.9}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "registry.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_registry_as_the_design_shows_it(tmp_path: Path) -> None:
    registry = load(written(tmp_path, GOOD))
    model = registry.models["chatty"]
    assert (model.slo.ttft, model.slo.tpot, model.slo.availability) == (0.5, 0.05, 99.9)
    assert model.versions["v1"].endpoints == ("http://127.0.0.1:8100",)
    assert registry.default(Task.CHAT) == "chatty"
    assert registry.default(Task.SENTIMENT) is None


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("task: chat", "task: chess", "models.chatty.task"),
        ("weight: 90", "wieght: 90", "models.chatty.versions.v1.wieght"),
        ("500ms", "fast", "models.chatty.slo.ttft"),
        ("http://127.0.0.1:8101", "127.0.0.1:8101", "models.chatty.versions.v2.endpoints.0"),
        ("http://127.0.0.1:8101", "http://u:p@127.0.0.1:8101", "models.chatty.versions.v2.endpoints.0"),
        ("weight: 90", "weight: 0", "weight 0"),
        ("weight: 90", "weight: 90, mirror: 5", "give it weight 0"),
        ("task: chat", "task: chat\n    adapters: [chatty]", "'chatty' names more than one"),
        ("task: chat", "task: chat\n    routing: {weights: {prefx: 1}}", "models.chatty.routing.weights.prefx"),
        ("task: chat", "task: chat\n    fallback: [nobody]", "there is no model 'nobody'"),
        ("task: chat", "task: chat\n    fallback: [chatty]", "it leads back to 'chatty'"),
        ("task: chat", "task: chat\n    hedge: true", "never asked for twice"),
        ("task: chat", "task: chat\n    admission: {queue: 5}", "concurrency or per_endpoint"),
        ("task: chat", "task: chat\n    admission: {concurrency: 1, per_endpoint: 1}", "concurrency or per_endpoint"),
        ("task: chat", "task: chat\n    admission: {concurrency: 1, overflow: true}", "no fallback"),
        ("task: chat", "task: chat\n    timeouts: {first_byte: 1s}", "models.chatty.timeouts.first_byte"),
        ("chatty:", '"a b":', "models"),
        (GOOD, "[]", "the file"),
        (GOOD, "a: [", "not YAML"),
    ],
)
def test_a_fault_is_named(old: str, new: str, named: str, tmp_path: Path) -> None:
    text = GOOD.replace(old, new).replace("weight: 10", "weight: 0" if new == "weight: 0" else "weight: 10")
    with pytest.raises(RegistryError, match=named):
        load(written(tmp_path, text))


ENDPOINTS = "versions: {v1: {endpoints: [http://127.0.0.1:1, http://127.0.0.1:2]}}"


def models(folder: Path, **extra: str) -> Registry:
    lines = [f"  {name}: {{{ENDPOINTS}, {more}}}" for name, more in extra.items()]
    return load(written(folder, "\n".join(["models:", *lines])))


@pytest.mark.parametrize(
    ("fallbacks", "named"),
    [
        ({"a": "task: chat, fallback: [b]", "b": "task: embedding"}, "'b' does another task"),
        (
            {"a": "task: chat, fallback: [b]", "b": "task: chat, fallback: [c]", "c": "task: chat, fallback: [a]"},
            "back",
        ),
    ],
)
def test_a_fallback_leads_to_a_model_of_its_task_and_not_back(
    fallbacks: dict[str, str], named: str, tmp_path: Path
) -> None:
    with pytest.raises(RegistryError, match=named):
        models(tmp_path, **fallbacks)


def test_a_core_task_model_that_users_wait_for_is_hedged(tmp_path: Path) -> None:
    found = models(
        tmp_path, chat="task: chat", core="task: sentiment", never="task: sentiment, hedge: false",
        spare="task: sentiment, role: {criticality: complementary}",
        spare_on="task: sentiment, role: {criticality: complementary}, hedge: true",
        ahead="task: recommendation, role: {trigger: proactive}",
    )  # fmt: skip
    assert [name for name, model in found.models.items() if model.hedged] == ["core", "spare_on"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"nowhere\.yaml"):
        load(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("version", "named"),
    [
        ("{}", "give endpoints or service"),
        ("{endpoints: []}", "give endpoints or service"),
        ("{endpoints: ['http://a:1'], service: llm}", "give endpoints or service"),
        ("{endpoints: ['http://a:1'], port: http}", "port and namespace are a service's"),
        ("{endpoints: ['http://a:1'], namespace: a}", "port and namespace are a service's"),
        ("{service: LLM}", "versions.v.service"),
        ("{service: llm.models.svc}", "versions.v.service"),
        ("{service: llm, port: 0}", "from 1 to 65535"),
        ("{service: llm, port: '8000'}", "its name, such as http, or its number"),
        ("{service: llm, port: true}", "from 1 to 65535"),
        ("{service: llm, port: a-name-that-is-too-long}", "its name, such as http"),
        ("{service: llm, namespace: A_b}", "versions.v.namespace"),
    ],
)
def test_a_version_is_either_addresses_or_a_service(version: str, named: str, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=named):
        load(written(tmp_path, f"models: {{m: {{task: chat, versions: {{v: {version}}}}}}}"))


def test_a_version_of_a_service_has_a_port_by_name_unless_it_says_otherwise(tmp_path: Path) -> None:
    versions = "{a: {service: x}, b: {service: y, port: 80}}"
    text = f"models: {{m: {{task: sentiment, activation: {{timeout: 5m}}, versions: {versions}}}}}"
    model = load(written(tmp_path, text)).models["m"]
    assert [version.port for version in model.versions.values()] == ["http", 80]
    assert model.activation is not None
    assert (model.activation.timeout, model.activation.queue) == (300, 1000)
    assert model.hedged  # it may have several pods
