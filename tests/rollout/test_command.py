"""`naru rollout` as it is typed: what can't begin is refused with the reason, and nothing is changed."""

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from services.local.rollout import rollout_app
from services.rollout.plan import Plan
from services.rollout.progress import Phase, Progress
from services.rollout.targets.registry_file import RegistryFile
from tests.support.ports import free_ports

VERSIONS = {"v1": {"weight": 100}, "v2": {"weight": 0}, "shadow": {"weight": 0, "mirror": 5}}
MODELS = {"m": {"task": "chat", "versions": VERSIONS}, "alone": {"task": "chat", "versions": {"v1": {"weight": 0}}}}


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    path = tmp_path / "registry.yaml"
    path.write_text(yaml.safe_dump({"models": MODELS}, sort_keys=False))
    return path


def typed(registry: Path, *arguments: str) -> Result:
    return CliRunner().invoke(rollout_app, [*arguments, "--registry", str(registry)], env={"COLUMNS": "200"})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody", "--canary", "v2"], "has no model 'nobody'; it has: m, alone"),
        (["m", "--canary", "v3"], "m has no version 'v3'; it has: v1, v2, shadow"),
        (["m", "--canary", "v1"], "v1 has weight 100 already: a rollout begins at `weight: 0`"),
        (["m", "--canary", "shadow"], "shadow mirrors traffic: set its `mirror` to 0"),
        (["alone", "--canary", "v1"], "no other version of alone has a weight"),
        (["m", "--canary", "v2", "--steps", "50"], "naru: steps: give growing per cent that end with 100"),
        (["m", "--canary", "v2", "--steps", "5,many"], "steps: Input should be a valid integer"),
        (["m", "--canary", "v2", "--bake", "soon"], "bake: give a duration such as 500ms, 2s or 1m"),
        (["m", "--canary", "v2", "--bake", "1m,2m"], "bake: give one duration, or one for each of the 5 steps"),
        (
            ["m", "--canary", "v2", "--patience", "1m"],
            "patience: a step can't be given up before its bake time is over",
        ),
        (["m", "--canary", "v2", "--undecided", "promote"], "undecided: Input should be 'hold' or 'rollback'"),
        (["m", "--canary", "v2", "--match", "prod"], "--match: give label=value"),
        (["m", "--canary", "v2", "--namespace", "prod"], "belong to --release"),
        (["m", "--canary", "v2", "--release", "naru"], "--release needs --chart"),
    ],
)
def test_what_can_not_begin_is_refused_with_the_reason(registry: Path, arguments: list[str], said: str) -> None:
    before = registry.read_text()
    found = typed(registry, "start", *arguments)
    assert found.exit_code in (1, 2)
    assert said in found.output
    assert registry.read_text() == before


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_prometheus_that_is_not_there_changes_nothing(registry: Path, dry: list[str]) -> None:
    [port] = free_ports(1)
    found = typed(registry, "start", "m", "--canary", "v2", "--prometheus", f"http://127.0.0.1:{port}", *dry)
    assert (found.exit_code, f"Prometheus at http://127.0.0.1:{port} does not answer" in found.output) == (1, True)
    assert RegistryFile(registry).read("m").weights == {"v1": 100, "v2": 0, "shadow": 0}


def test_status_says_how_far_it_came(registry: Path) -> None:
    nothing = typed(registry, "status", "m")
    assert (nothing.exit_code, "there is no rollout of m" in nothing.output) == (1, True)
    before = {"v1": 100, "v2": 0, "shadow": 0}
    progress = Progress(plan=Plan(model="m", canary="v2"), before=before, phase=Phase.HELD, reason="too few")
    RegistryFile(registry).write(progress)
    found = typed(registry, "status", "m")
    assert found.exit_code == 0
    assert "m v2: held since 1970-01-01 00:00:00 UTC too few" in found.output
    assert "step 1 of 5: 1 %; weights: {'v1': 99, 'v2': 1, 'shadow': 0}" in found.output


@pytest.mark.parametrize("command", ["resume", "rollback"])
def test_there_must_be_a_rollout_to_go_on_with(registry: Path, command: str) -> None:
    found = typed(registry, command, "m")
    assert (found.exit_code, "there is no rollout of m" in found.output) == (2, True)
