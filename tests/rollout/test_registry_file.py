"""Weights in a registry file: what changes, what does not, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from services.rollout.errors import RefusedError, TakenOverError, TargetError
from services.rollout.plan import Plan
from services.rollout.progress import Phase, Progress
from services.rollout.targets.registry_file import RegistryFile
from services.rollout.targets.yaml_weights import with_weights

TEXT = """\
# who serves what
models:
  chat:   # the big one
    task: chat
    versions:
      v1: {endpoints: ["http://a:1"], weight: 100}   # since spring
      v2: {endpoints: ["http://b:1"], weight: 0}
    slo: {ttft: 500ms, tpot: 50ms, availability: 99.9}
  other:
    task: chat
    versions:
      v1:
        weight: 100  # all
        endpoints:
          - http://c:1
"""
PLAN = Plan(model="chat", canary="v2", steps=(5, 100))
BEGUN = Progress(plan=PLAN, before={"v1": 100, "v2": 0})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "registry.yaml"
    made.write_text(TEXT)
    return made


def test_only_the_weights_change(path: Path) -> None:
    path.chmod(0o640)
    RegistryFile(path).write(BEGUN)
    changed = TEXT.replace("weight: 100}", "weight: 95}").replace("weight: 0}", "weight: 5}")
    assert path.read_text() == changed
    assert path.stat().st_mode & 0o777 == 0o640
    RegistryFile(path).write(BEGUN.model_copy(update={"phase": Phase.ROLLED_BACK}))
    assert path.read_text() == TEXT


def test_a_link_stays_one(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(path)
    RegistryFile(link).write(BEGUN)
    assert link.is_symlink()
    assert RegistryFile(path).read("chat").weights == {"v1": 95, "v2": 5}


def test_progress_outlives_the_process(path: Path) -> None:
    assert RegistryFile(path).progress("chat") is None
    RegistryFile(path).write(BEGUN)
    assert RegistryFile(path).progress("chat") == BEGUN
    assert RegistryFile(path).progress("other") is None


def test_one_killed_between_saying_and_doing_is_still_its_own(path: Path) -> None:
    file = RegistryFile(path)
    file.write(BEGUN)
    by_then = path.read_text()
    file.write(BEGUN.model_copy(update={"step": 1}))
    path.write_text(by_then)  # the progress was kept, the weights were not written
    file.write(BEGUN.model_copy(update={"step": 1}))
    assert file.read("chat").weights == {"v1": 0, "v2": 100}


def test_weights_of_somebody_elses_are_left_alone(path: Path) -> None:
    file = RegistryFile(path)
    file.write(BEGUN)
    path.write_text(path.read_text().replace("weight: 5}", "weight: 50}"))
    with pytest.raises(TakenOverError, match="'v2': 50"):
        file.write(BEGUN.model_copy(update={"step": 1}))
    assert "weight: 50}" in path.read_text()


def test_two_processes_do_not_drive_one_model(path: Path) -> None:
    with RegistryFile(path).alone("chat"):
        with pytest.raises(RefusedError, match="another process"), RegistryFile(path).alone("chat"):
            pass
        with RegistryFile(path).alone("other"):
            pass
    with RegistryFile(path).alone("chat"):
        pass


def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    file = RegistryFile(tmp_path / "nowhere" / "registry.yaml")
    with pytest.raises(TargetError, match="the registry's folder must be writable"), file.alone("chat"):
        pass


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models: {", "is not YAML"),
        ("other: 1", "has no model 'chat'; it has: none"),
        ("models: {m: 1}", "has no model 'chat'; it has: m"),
        ("models: {chat: {task: chat}}", "models.chat: versions: Field required"),
        ("models: {chat: {task: chat, versions: {v1: {weight: many}}}}", r"models.chat: versions\.v1\.weight"),
    ],
)
def test_a_file_that_can_not_be_used_is_refused_with_the_field(path: Path, text: str, said: str) -> None:
    path.write_text(text)
    with pytest.raises(TargetError, match=said):
        RegistryFile(path).read("chat")


@pytest.mark.parametrize(
    ("version", "changed"),
    [
        ("v1: {endpoints: [a]}", "v1: {weight: 7, endpoints: [a]}"),
        ("v1: {}", "v1: {weight: 7}"),
        ("v1:\n          endpoints: [a]  # one", "v1:\n          weight: 7\n          endpoints: [a]  # one"),
        ("v1: {weight: 1, weight: 2}", "v1: {weight: 1, weight: 7}"),
        ("'v1': {\"weight\": 0x10}", "'v1': {\"weight\": 7}"),
    ],
)
def test_a_weight_is_put_where_it_belongs(version: str, changed: str) -> None:
    text = "models:\n  m:\n    versions:\n        {}\n"
    assert with_weights(text.format(version), "m", {"v1": 7}) == text.format(changed)


@pytest.mark.parametrize(
    "versions",
    ["{v1: &all {weight: 5}, v2: *all}", "{v1: {<<: *shared}}", "{v1: {weight: &w 5}, v2: {weight: *w}}"],
)
def test_what_is_shared_by_an_anchor_is_not_changed_behind_its_back(versions: str) -> None:
    text = f"shared: &shared {{weight: 5}}\nmodels: {{m: {{versions: {versions}}}}}\n"
    try:
        made = with_weights(text, "m", {"v1": 7})
    except TargetError:
        return
    wanted: Any = yaml.safe_load(text)
    wanted["models"]["m"]["versions"]["v1"] = {**wanted["models"]["m"]["versions"]["v1"], "weight": 7}
    assert yaml.safe_load(made) == wanted


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._/:-]{0,12}", fullmatch=True)
VERSIONS = st.dictionaries(NAMES, st.none() | st.integers(0, 100), min_size=1, max_size=4)


@settings(max_examples=25)
@given(
    st.dictionaries(NAMES, VERSIONS, min_size=1, max_size=3),
    st.booleans() | st.none(), st.data(),
)  # fmt: skip
def test_any_registry_keeps_all_but_the_weights(
    models: dict[str, dict[str, int | None]], flow: bool | None, data: st.DataObject
) -> None:
    found: dict[str, Any] = {
        model: {"versions": {
            label: {"endpoints": ["http://a:1"], **({} if weight is None else {"weight": weight})}
            for label, weight in versions.items()
        }}
        for model, versions in models.items()
    }  # fmt: skip
    text = yaml.safe_dump({"models": found}, default_flow_style=flow, sort_keys=False)
    model = data.draw(st.sampled_from(sorted(models)))
    weights = {label: data.draw(st.integers(0, 100)) for label in models[model]}
    made = yaml.safe_load(with_weights(text, model, weights))
    for label, weight in weights.items():
        found[model]["versions"][label]["weight"] = weight
    assert made == {"models": found}
