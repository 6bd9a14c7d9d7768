"""What continuous integration runs is well formed, pinned and asks for little; its steps are scripts."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.local.install import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))
SCRIPTS = [*sorted((ROOT / "scripts").glob("*.sh")), *sorted((ROOT / "tests/delivery").glob("*.sh")), ROOT / ".ci/run"]
STEP = re.compile(r"^(scripts/|\.ci/run$|make |aws eks update-kubeconfig )")


def tool(name: str, *arguments: str | Path) -> None:
    """A linter of the development environment finds nothing."""
    command = [str(Path(sys.executable).with_name(name)), *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def steps(workflow: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(workflow.read_text())["jobs"].values()
    return [step for job in jobs for step in job.get("steps", [job])]


def test_the_dockerfile_passes_hadolint() -> None:
    tool("hadolint", "Dockerfile")


def test_scripts_pass_shellcheck() -> None:
    tool("shellcheck", *SCRIPTS)


def test_workflows_fit_githubs_schema() -> None:
    tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS)
    tool("check-jsonschema", "--builtin-schema", "vendor.dependabot", ".github/dependabot.yml")


def test_workflows_pass_zizmor_without_an_exception() -> None:
    tool(
        "zizmor",
        "--offline",
        "--no-progress",
        "--persona",
        "pedantic",
        "--strict-collection",
        "--no-ignores",
        ".github",
    )


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_every_shell_step_is_one_line_that_calls_a_script(workflow: Path) -> None:
    commands = [step["run"] for step in steps(workflow) if "run" in step]
    assert [line for line in commands if "\n" in line.strip() or not STEP.match(line)] == []
    scripts = {line.split()[0] for line in commands if line.startswith("scripts/")}
    assert [script for script in scripts if not (ROOT / script).stat().st_mode & 0o100] == []


def test_an_action_has_one_commit_in_all_workflows() -> None:
    used = {step["uses"] for workflow in WORKFLOWS for step in steps(workflow) if "@" in step.get("uses", "")}
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", each) for each in used)
    assert len({each.partition("@")[0] for each in used}) == len(used)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_stops_at_the_first_failure_and_is_tested(script: Path) -> None:
    assert re.search(r"^set -eu", script.read_text(), re.MULTILINE)
    if script.parent.name == "scripts":
        tests = "".join(path.read_text() for path in (ROOT / "tests/delivery").glob("*.py"))
        assert f"scripts/{script.name}" in tests, f"no test runs {script.name}"
