"""A deploy's steps: the real script, the real gateway; Helm, kubectl and cosign are stand-ins for want of a cluster."""

import asyncio
import base64
import re
import subprocess
import sys
from pathlib import Path

import pytest

from services.local.install import ROOT
from tests.delivery.fakes import Fakes
from tests.gateway.oip import models
from tests.support.engine import engine
from tests.support.gateway import KEY, running

SCRIPT = "scripts/deploy.sh"
PLACE = "--release naru --namespace prod --chart charts/naru"


@pytest.fixture
def fakes(tmp_path: Path) -> Fakes:
    made = Fakes(tmp_path)
    for name in ("helm", "kubectl", "cosign", "python"):
        made.add(name)
    made.variables = {"VERSION": "v1.4.0", "NAMESPACE": "prod", "TOOLS": str(tmp_path)}
    return made


def forwarding(port: int, secret: str = KEY) -> str:
    """A kubectl that knows one gateway, one Secret, and forwards to what listens on `port`."""
    encoded = base64.b64encode(secret.encode()).decode()
    return f"""case "$*" in
      *port-forward*) echo "Forwarding from 127.0.0.1:{port} -> 8080"; exec sleep 60 ;;
      *secret*) printf '%s' '{encoded}' ;;
      *service*) echo service/naru-gateway ;;
    esac"""


def test_an_upgrade_waits_and_goes_back_by_itself(fakes: Fakes, tmp_path: Path) -> None:
    values = tmp_path / "prod.yaml"
    values.touch()
    fakes.variables |= {"VALUES": str(values)}
    assert fakes.run(SCRIPT, "upgrade").returncode == 0
    assert fakes.calls() == [
        f"helm upgrade naru charts/naru --namespace prod --set-string images.tag=v1.4.0 --values {values} --install "
        "--create-namespace --rollback-on-failure --wait --timeout 30m"
    ]


def test_a_failed_upgrade_fails_the_step(fakes: Fakes) -> None:
    fakes.add("helm", "echo 'UPGRADE FAILED, and has been rolled back' >&2; exit 1")
    done = fakes.run(SCRIPT, "upgrade")
    assert (done.returncode, "rolled back" in done.stderr) == (1, True)


def test_a_values_file_that_is_not_there_is_named_before_anything_happens(fakes: Fakes) -> None:
    fakes.variables |= {"VALUES": "values-nowhere.yaml"}
    done = fakes.run(SCRIPT, "upgrade")
    assert (done.returncode, done.stderr) == (1, "deploy: VALUES names values-nowhere.yaml, which is not there\n")
    assert fakes.calls() == []


def test_the_difference_is_printed(fakes: Fakes) -> None:
    fakes.add("helm", "echo '+ replicas: 3'")
    assert fakes.run(SCRIPT, "diff").stdout == "+ replicas: 3\n"
    assert fakes.calls()[0].startswith("helm diff upgrade naru charts/naru --namespace prod")


@pytest.mark.parametrize(
    ("listed", "revision"), [('[{"name": "naru", "revision": "7"}]', "7"), ("[]", "0")], ids=["deployed", "new"]
)
def test_the_revision_to_go_back_to_is_a_workflows_output(fakes: Fakes, listed: str, revision: str) -> None:
    fakes.add("helm", f"echo '{listed}'")
    assert fakes.run(SCRIPT, "revision").stdout == f"revision={revision}\n"


def test_an_image_that_is_not_signed_by_this_repository_is_refused(fakes: Fakes) -> None:
    assert fakes.run(SCRIPT, "verify").returncode == 0
    identity = "https://github.com/naru-serving/naru/.github/workflows/images.yaml@refs/tags/v1.4.0"
    assert len(fakes.calls("cosign")) == 4
    assert all(f"--certificate-identity {identity}" in call for call in fakes.calls("cosign"))
    fakes.add("cosign", 'case "$*" in *llm-cpu*) exit 1 ;; esac')
    done = fakes.run(SCRIPT, "verify")
    assert done.returncode == 1
    assert "llm-cpu:v1.4.0 is not signed by" in done.stderr


async def test_the_smoke_test_goes_through_the_gateway(fakes: Fakes, tmp_path: Path) -> None:
    async with (
        engine(models.sentiment) as sentiment, engine(models.recommendation) as recommender, engine() as llm,
    ):  # fmt: skip
        registry = models.registry(sentiment.url, sentiment.url, recommender.url, llm.url)
        async with running(registry, tmp_path) as gateway:
            fakes.add("kubectl", forwarding(gateway.port))
            done = await asyncio.to_thread(fakes.run, SCRIPT, "smoke")
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.endswith("smoke: 3 models answered\n")
            sentiment.healthy = False
            async with asyncio.timeout(30):
                while (await gateway.http.get("/v1/models/sentiment")).json()["ready"]:
                    await asyncio.sleep(0.02)
            fakes.variables |= {"SMOKE_WAIT": "0"}
            done = await asyncio.to_thread(fakes.run, SCRIPT, "smoke")
    assert (done.returncode, done.stderr) == (1, "smoke: not ready: sentiment\n")


def test_a_gateway_that_cannot_be_reached_is_said(fakes: Fakes) -> None:
    fakes.add("kubectl", forwarding(0).replace('echo "Forwarding from 127.0.0.1:0 -> 8080"; exec sleep 60', "exit 1"))
    done = fakes.run(SCRIPT, "smoke")
    assert done.returncode == 1
    assert done.stderr.startswith("deploy: prod/naru-gateway can't be reached")


def test_each_canary_is_rolled_out_and_watched(fakes: Fakes) -> None:
    fakes.add("kubectl", forwarding(19090))
    fakes.variables |= {"CANARIES": "sentiment=v2 support=v3", "CANARY_OPTIONS": "--steps 5,100 --bake 1m"}
    assert fakes.run(SCRIPT, "canaries").returncode == 0
    assert fakes.calls("kubectl") == ["kubectl --namespace monitoring port-forward service/prometheus-operated :9090"]
    begun = [call.partition("main() ")[2] for call in fakes.calls("python")]
    watched = "--prometheus http://127.0.0.1:19090 --match namespace=prod --undecided rollback --steps 5,100 --bake 1m"
    assert begun == [
        f"rollout start sentiment --canary v2 {PLACE} {watched}",
        f"rollout start support --canary v3 {PLACE} {watched}",
    ]


def test_a_canary_that_is_rolled_back_fails_the_deploy_and_ends_it(fakes: Fakes) -> None:
    fakes.add("kubectl", forwarding(19090))
    fakes.add("python", "exit 3")
    fakes.variables |= {"CANARIES": "sentiment=v2 support=v3"}
    assert fakes.run(SCRIPT, "canaries").returncode == 3
    assert len(fakes.calls("python")) == 1


def test_without_canaries_there_is_nothing_to_do(fakes: Fakes) -> None:
    done = fakes.run(SCRIPT, "canaries")
    assert (done.returncode, done.stdout, fakes.calls()) == (0, "deploy: no canaries\n", [])


def test_going_back_ends_unfinished_canaries_first(fakes: Fakes) -> None:
    fakes.variables |= {"CANARIES": "sentiment=v2"}
    assert fakes.run(SCRIPT, "rollback", "7").returncode == 0
    canary, release = fakes.calls()
    assert canary.endswith(f"rollout rollback sentiment --unfinished {PLACE}")
    assert release == "helm rollback naru 7 --namespace prod --wait --timeout 30m"


def test_going_back_goes_on_where_there_is_no_canary_to_end(fakes: Fakes) -> None:
    fakes.add("python", "exit 1")
    fakes.variables |= {"CANARIES": "sentiment=v2"}
    assert fakes.run(SCRIPT, "rollback", "7").returncode == 0
    assert fakes.calls("helm") == ["helm rollback naru 7 --namespace prod --wait --timeout 30m"]


def test_a_first_deploy_has_nothing_to_go_back_to(fakes: Fakes) -> None:
    done = fakes.run(SCRIPT, "rollback", "0")
    assert done.returncode == 1
    assert "no revision before this one" in done.stderr
    assert fakes.calls("helm") == []


def test_helm_diff_is_installed_only_with_its_maintainers_key(fakes: Fakes, tmp_path: Path) -> None:
    """What the lock installs is not fetched here; that the key decides is what matters."""
    fakes.add("python3.11", f"cp {tmp_path}/bin/python {tmp_path}/bin/pip")
    fakes.add("curl", "echo key")
    fakes.add("gpg", 'case "$*" in *--export*) echo exported ;; esac')
    assert fakes.run(SCRIPT, "tools").returncode == 0
    assert "--keyring" in fakes.calls("helm")[0]
    assert "--verify=false" not in fakes.calls("helm")[0]
    fakes.add("gpg")
    done = fakes.run(SCRIPT, "tools")
    assert (done.returncode, "maintainer is not" in done.stderr) == (1, True)
    assert len(fakes.calls("helm")) == 1


def test_the_variables_of_an_environment_are_those_that_are_documented() -> None:
    workflow = (ROOT / ".github/workflows/deploy-environment.yaml").read_text()
    table = (ROOT / "docs/deploy.md").read_text().partition("## An environment")[2].partition("##")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)}
    assert documented == set(re.findall(r"\bvars\.([A-Z_]+)", workflow))


def test_a_step_there_is_not_shows_those_there_are(fakes: Fakes) -> None:
    done = fakes.run(SCRIPT, "everything")
    assert done.returncode == 2
    assert "rollback REVISION" in done.stderr


ONLY_LOCKED = """
import importlib.metadata, re, sys

plain = lambda name: re.sub("[-_.]+", "-", name).lower()
locked = {plain(name) for name in re.findall(r"^([\\w.-]+)==", open("locks/cli.txt").read(), re.MULTILINE)} | {"naru"}
owners = importlib.metadata.packages_distributions()

class Locked:
    def find_spec(self, name, path=None, target=None):
        known = owners.get(name.partition(".")[0])
        if known and locked.isdisjoint(map(plain, known)):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Locked())
from services.local.cli import main
main()
"""


def test_a_rollout_needs_no_package_but_those_of_its_lock() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ONLY_LOCKED, "rollout", "start", "sentiment", "--canary", "v2", "--release", "naru"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "naru: --release needs --chart: the chart that the release runs\n")
