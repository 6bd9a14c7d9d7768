"""The other scripts of continuous integration; what would need a registry, a cluster or GitHub is a stand-in."""

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from services.local.install import ROOT
from tests.delivery.fakes import Fakes

DIGEST = f"sha256:{'0a' * 32}"


@pytest.fixture
def fakes(tmp_path: Path) -> Fakes:
    return Fakes(tmp_path)


def tools(fakes: Fakes, cache: Path) -> None:
    """The supply chain's tools, all of which succeed, where scripts/tools.sh would have installed them."""
    digest = hashlib.sha256((ROOT / "locks/supply-chain.txt").read_bytes()).hexdigest()
    folder = cache / "tools" / digest[:16]
    (folder / "bin").mkdir(parents=True)
    (folder / "complete").touch()
    fakes.add("pip-audit")
    shutil.copy(Path(fakes.environment["PATH"].split(":")[0]) / "pip-audit", folder / "bin")
    fakes.variables |= {"NARU_CACHE": str(cache)}


class TestImages:
    @pytest.mark.parametrize(
        ("engine_answers", "begins"),
        [("exit 0", "docker buildx build --load"), ("exit 1", "buildah build --format docker")],
    )
    def test_docker_is_used_where_its_engine_answers_and_buildah_else(
        self, fakes: Fakes, engine_answers: str, begins: str
    ) -> None:
        fakes.add("docker", f"case $1 in info) {engine_answers} ;; esac")
        fakes.add("buildah")
        fakes.variables = {"TAG": "try"}
        assert fakes.run("scripts/images.sh", "gateway").returncode == 0
        call = fakes.calls()[-1]
        assert call.startswith(begins)
        assert call.endswith("--target gateway --tag ghcr.io/naru-serving/gateway:try .")

    def test_a_mirror_is_an_argument_and_its_password_a_secret(self, fakes: Fakes) -> None:
        fakes.add("buildah")
        fakes.variables = {
            "ENGINE": "buildah", "PIP_INDEX_URL": "https://pypi.example.com/simple", "PIP_CONFIG_FILE": "/etc/pip.conf",
            "TORCH_INDEX": "",
        }  # fmt: skip
        assert fakes.run("scripts/images.sh").returncode == 0
        assert len(fakes.calls()) == 4
        for call in fakes.calls():
            assert "--build-arg PIP_INDEX_URL=https://pypi.example.com/simple" in call
            assert "--secret id=pip.conf,src=/etc/pip.conf" in call
            assert "--build-arg TORCH_INDEX= " in call

    def test_an_engine_there_is_not_is_refused(self, fakes: Fakes) -> None:
        fakes.variables = {"ENGINE": "podman"}
        done = fakes.run("scripts/images.sh")
        assert (done.returncode, done.stderr) == (1, "images: ENGINE is podman: choose docker or buildah\n")


class TestSupplyChain:
    @pytest.mark.slow
    @pytest.mark.parametrize("image", ["gateway", "llm-cpu"])
    def test_an_images_list_has_every_locked_package_with_its_hashes(
        self, fakes: Fakes, image: str, tmp_path: Path
    ) -> None:
        """By the real tool, which checks what it writes against CycloneDX' schema."""
        file = tmp_path / "sbom.json"
        done = fakes.run("scripts/sbom.sh", image, str(file), within=300)
        assert done.returncode == 0, done.stderr
        listed = {part["name"]: part for part in json.loads(file.read_text())["components"]}
        locks = {"gateway": ["gateway.txt"], "llm-cpu": ["torch-cpu.txt", "llm.txt"]}[image]
        text = "".join((ROOT / "locks" / lock).read_text() for lock in locks)
        locked = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE))
        assert {name: part["version"] for name, part in listed.items()} == locked
        for part in listed.values():
            hashes = {found["content"] for known in part["externalReferences"] for found in known.get("hashes", [])}
            assert hashes <= set(re.findall(r"sha256:([0-9a-f]{64})", text))
            assert hashes

    def test_an_image_is_signed_by_digest_with_its_list(self, fakes: Fakes) -> None:
        fakes.add("cosign")
        image = f"ghcr.io/naru-serving/gateway@{DIGEST}"
        assert fakes.run("scripts/sign.sh", image, "sbom.json").returncode == 0
        assert fakes.calls() == [
            f"cosign sign --yes {image}", f"cosign attest --yes --type cyclonedx --predicate sbom.json {image}",
        ]  # fmt: skip

    def test_a_tag_is_not_signed(self, fakes: Fakes) -> None:
        fakes.add("cosign")
        done = fakes.run("scripts/sign.sh", "ghcr.io/naru-serving/gateway:v1", "sbom.json")
        assert (done.returncode, fakes.calls()) == (1, [])

    def test_the_base_image_is_pinned_by_the_digest_it_has_now(self, fakes: Fakes) -> None:
        fakes.add("docker", f"""echo '{{"digest": "{DIGEST}"}}'""")
        base = re.search(r"^ARG PYTHON_BASE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
        assert base is not None
        assert fakes.run("scripts/base-image.sh").stdout == f"image={base[1]}@{DIGEST}\n"

    def test_a_base_image_without_a_digest_is_refused(self, fakes: Fakes) -> None:
        fakes.add("docker", "echo '{}'")
        assert fakes.run("scripts/base-image.sh").returncode == 1

    def test_every_lock_is_held_against_the_advisories(self, fakes: Fakes, tmp_path: Path) -> None:
        tools(fakes, tmp_path)
        assert fakes.run("scripts/audit.sh").returncode == 0
        audited = {call.rpartition("/")[2] for call in fakes.calls()}
        assert audited == {path.name for path in (ROOT / "locks").glob("*.txt")} - {"torch-cpu.txt"}

    def test_all_locks_with_a_known_vulnerability_are_named(self, fakes: Fakes, tmp_path: Path) -> None:
        tools(fakes, tmp_path)
        [program] = (tmp_path / "tools").glob("*/bin/pip-audit")
        program.write_text(program.read_text() + 'case "$*" in *locks/gateway.txt|*locks/llm.txt) exit 1 ;; esac\n')
        done = fakes.run("scripts/audit.sh")
        assert (done.returncode, done.stderr.splitlines()[-1]) == (
            1, "audit: known vulnerabilities in locks/gateway.txt locks/llm.txt"
        )  # fmt: skip


class TestProposal:
    @pytest.fixture
    def checkout(self, tmp_path: Path) -> Path:
        """A clone of a repository with a lock and the script."""
        origin, clone = tmp_path / "origin.git", tmp_path / "clone"
        git = ["git", "-c", "init.defaultBranch=main"]
        subprocess.run([*git, "init", "--quiet", "--bare", origin], check=True)
        subprocess.run([*git, "clone", "--quiet", origin, clone], check=True, capture_output=True)
        for folder, file in (("locks", "gateway.txt"), ("scripts", "propose-locks.sh")):
            (clone / folder).mkdir()
            shutil.copy(ROOT / folder / file, clone / folder)
        author = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(["git", "add", "."], cwd=clone, check=True)
        subprocess.run(["git", *author, "commit", "--quiet", "-m", "first"], cwd=clone, check=True)
        return clone

    def propose(self, fakes: Fakes, checkout: Path) -> str:
        done = subprocess.run(
            [checkout / "scripts/propose-locks.sh"], env=fakes.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def test_newer_locks_become_a_pull_request(self, fakes: Fakes, checkout: Path, tmp_path: Path) -> None:
        fakes.add("gh")
        (checkout / "locks/gateway.txt").write_text("newer\n")
        self.propose(fakes, checkout)
        assert [call.split()[1:3] for call in fakes.calls("gh")] == [
            ["auth", "setup-git"],
            ["pr", "list"],
            ["pr", "create"],
        ]
        shown = ["git", "--git-dir", str(tmp_path / "origin.git"), "show", "update/locks:locks/gateway.txt"]
        assert subprocess.run(shown, capture_output=True, check=True).stdout == b"newer\n"

    def test_one_that_is_open_is_renewed(self, fakes: Fakes, checkout: Path) -> None:
        fakes.add("gh", 'case "$*" in *"pr list"*) echo 7 ;; esac')
        (checkout / "locks/gateway.txt").write_text("newer\n")
        self.propose(fakes, checkout)
        assert not [call for call in fakes.calls("gh") if "pr create" in call]

    def test_nothing_newer_is_no_pull_request(self, fakes: Fakes, checkout: Path) -> None:
        fakes.add("gh")
        assert self.propose(fakes, checkout) == "propose-locks: nothing is newer\n"
        assert fakes.calls() == []


class TestChart:
    @pytest.fixture
    def chart(self, fakes: Fakes, tmp_path: Path) -> Path:
        """One with two cases."""
        folder = tmp_path / "chart"
        (folder / "ci").mkdir(parents=True)
        for case in ("gpu", "kind"):
            (folder / "ci" / f"{case}-values.yaml").touch()
        fakes.variables |= {"CHART": str(folder)}
        return folder

    @pytest.mark.usefixtures("chart")
    def test_every_case_is_in_the_matrix(self, fakes: Fakes) -> None:
        assert fakes.run("scripts/chart.sh", "cases").stdout == 'cases=["gpu","kind"]\n'

    def test_every_case_is_linted(self, fakes: Fakes, chart: Path) -> None:
        fakes.add("helm")
        assert fakes.run("scripts/chart.sh", "lint").returncode == 0
        assert fakes.calls("helm") == [
            f"helm lint {chart} --strict --values {chart}/ci/{case}-values.yaml" for case in ("gpu", "kind")
        ]

    def test_the_case_of_kind_is_installed_with_all_images_and_asked(self, fakes: Fakes) -> None:
        for name in ("helm", "kubectl", "kind"):
            fakes.add(name, "cat >/dev/null </dev/null")
        assert fakes.run("scripts/chart.sh", "install", "kind").returncode == 0
        assert len(fakes.calls("kind")) == 4
        installed, tested = fakes.calls("helm")
        assert installed.startswith("helm install naru charts/naru --namespace naru")
        assert tested == "helm test naru --namespace naru --logs"

    def test_what_does_not_come_up_fails_with_the_pods(self, fakes: Fakes) -> None:
        for name in ("kubectl", "kind"):
            fakes.add(name)
        fakes.add("helm", "exit 1")
        assert fakes.run("scripts/chart.sh", "install", "kind").returncode == 1
        assert fakes.calls("kubectl")[-1] == "kubectl --namespace naru get pods,events"
        assert not [call for call in fakes.calls("helm") if call.startswith("helm test")]

    def test_another_case_is_held_against_the_api_server_as_far_as_that_knows_it(self, fakes: Fakes) -> None:
        fakes.add("helm", """
            while [ "$1" != --output-dir ]; do shift; done
            printf 'apiVersion: v1\\nkind: Service\\n' >"$2/service.yaml"
            printf 'apiVersion: keda.sh/v1alpha1\\nkind: ScaledObject\\n' >"$2/scaled.yaml"
        """)  # fmt: skip
        fakes.add("kubectl", 'case $1 in api-versions) printf "apps/v1\\nv1\\n" ;; esac')
        done = fakes.run("scripts/chart.sh", "install", "keda")
        assert done.returncode == 0, done.stderr
        assert "chart: scaled.yaml is not tried: this cluster does not know keda.sh/v1alpha1\n" in done.stdout
        [tried] = [call for call in fakes.calls("kubectl") if "--dry-run=server" in call]
        assert tried.endswith("/service.yaml")

    def test_it_is_published_as_its_tag_says_and_signed_by_digest(self, fakes: Fakes) -> None:
        fakes.add("helm", f'case $1 in push) echo "Digest: {DIGEST}" >&2 ;; esac')
        fakes.add("cosign")
        assert fakes.run("scripts/chart.sh", "publish", "v1.4.0").returncode == 0
        assert fakes.calls("helm")[0] == (
            "helm package charts/naru --version 1.4.0 --app-version v1.4.0 --destination build"
        )
        assert fakes.calls("cosign") == [f"cosign sign --yes ghcr.io/naru-serving/charts/naru@{DIGEST}"]


def test_a_machine_gets_what_the_makefile_says_that_tests_need(fakes: Fakes) -> None:
    fakes.add("sudo")
    assert fakes.run("scripts/system-packages.sh").returncode == 0
    needed = re.search(r"for each in (.*); do command -v", (ROOT / "Makefile").read_text())
    assert needed is not None
    installed = set(fakes.calls()[-1].split())
    assert set(needed[1].split()) <= installed


class TestLoad:
    @pytest.fixture
    def run(self, fakes: Fakes, tmp_path: Path) -> Callable[[], int]:
        for name in ("make", "naru", "python"):
            fakes.add(name)
        fakes.variables = {"BIN": str(tmp_path / "bin")}
        return lambda: fakes.run("scripts/load.sh", str(tmp_path / "report")).returncode

    def test_the_stack_is_started_loaded_and_stopped(
        self, fakes: Fakes, run: Callable[[], int], tmp_path: Path
    ) -> None:
        assert run() == 0
        assert fakes.calls() == [
            "make install", "naru up --detach", "python -m loadtests.memory",
            f"make load LOAD=--load ramp --users 8 --run-time 10m --out {tmp_path}/report", "naru down",
        ]  # fmt: skip

    def test_a_missed_objective_fails_and_the_stack_is_stopped(self, fakes: Fakes, run: Callable[[], int]) -> None:
        fakes.add("make", "case $1 in load) exit 1 ;; esac")
        assert run() == 1
        assert fakes.calls()[-1] == "naru down"
