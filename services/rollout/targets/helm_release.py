"""A Helm release of the chart `naru`: weights are its values, and each change of them is a revision of it.

Progress stands in the revision's description, so that both change at once or not at all, and `helm history` tells what
a rollout did. A registry that is changed beside Helm, in its ConfigMap, would be undone by the next upgrade.
"""

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import ValidationError

from services.rollout.entry import Entry, read_entry
from services.rollout.errors import TargetError
from services.rollout.progress import Progress
from services.rollout.targets.target import weights_found

MARK = "naru rollout: "


@dataclass(frozen=True, slots=True)
class Helm:
    """How Helm is called, and for which release."""

    release: str
    chart: str
    """The folder, archive or reference that the release was installed from."""
    namespace: str | None = None
    version: str | None = None
    """The chart's, where `chart` is a reference."""
    context: str | None = None
    binary: str = "helm"
    timeout: float = 300.0
    """Seconds a call may take."""

    def run(self, *arguments: str) -> str:
        """What it prints. Raises TargetError."""
        place = [*_option("--namespace", self.namespace), *_option("--kube-context", self.context)]
        command = [self.binary, *arguments, *place]
        try:
            # In a session of its own: a Ctrl-C meant for the rollout must not cut an upgrade in two.
            done = subprocess.run(  # noqa: S603 - the user's own release, chart and binary
                command, capture_output=True, text=True, check=False, timeout=self.timeout, start_new_session=True
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise TargetError(f"{self.binary} {arguments[0]}: {error}") from None
        if done.returncode != 0:
            raise TargetError(
                f"{self.binary} {arguments[0]} {self.release}: {done.stderr.strip() or 'no reason given'}"
            )
        return done.stdout

    @property
    def chart_version(self) -> list[str]:
        return _option("--version", self.version)


def _option(name: str, value: str | None) -> list[str]:
    return [] if value is None else [name, value]


class HelmRelease:
    def __init__(self, helm: Helm) -> None:
        self._helm = helm
        self._fits = False

    @property
    def name(self) -> str:
        where = f" in {self._helm.namespace}" if self._helm.namespace else ""
        return f"Helm release {self._helm.release}{where}"

    @property
    def lasting(self) -> str:
        return (
            "; write these weights into the values that the release is upgraded with, or the next upgrade undoes them"
        )

    def read(self, model: str) -> Entry:
        values = self._json("get", "values", self._helm.release, "--all")
        return read_entry(values.get("models"), model, self.name)

    def progress(self, model: str) -> Progress | None:
        for revision in reversed(self._history()):
            found = _kept(str(revision.get("description", "")))
            if found is not None and found.plan.model == model:
                return found
        return None

    def write(self, progress: Progress) -> None:
        self._check_chart()
        model = progress.plan.model
        weights_found(self, progress)
        versions = {label: {"weight": weight} for label, weight in progress.weights.items()}
        self._upgrade({"models": {model: {"versions": versions}}}, _described(progress))

    @contextlib.contextmanager
    def alone(self, model: str) -> Iterator[None]:  # noqa: ARG002 - Helm's lock is the release's
        """Helm lets one upgrade run at a time; whoever changes the weights in between is noticed at the next look."""
        yield

    def _upgrade(self, values: dict[str, Any], description: str) -> None:
        helm = self._helm
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
            json.dump(values, file)
            file.flush()
            helm.run(
                "upgrade", helm.release, helm.chart, *helm.chart_version, "--reuse-values", "--values", file.name,
                "--description", description,
            )  # fmt: skip

    def _check_chart(self) -> None:
        """Raises TargetError where the chart is another one: the upgrade would then change more than weights."""
        if self._fits:
            return
        shown = yaml.safe_load(self._helm.run("show", "chart", self._helm.chart, *self._helm.chart_version))
        given, installed = f"{shown['name']}-{shown['version']}", self._history()[-1]["chart"]
        if given != installed:
            raise TargetError(f"{self.name} runs the chart {installed}, and {self._helm.chart} is {given}")
        self._fits = True

    def _history(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._json("history", self._helm.release)
        return found

    def _json(self, *arguments: str) -> Any:
        try:
            return json.loads(self._helm.run(*arguments, "--output", "json"))
        except ValueError as error:
            raise TargetError(f"{self._helm.binary} {arguments[0]} printed no JSON: {error}") from None


def _described(progress: Progress) -> str:
    plan = progress.plan
    what = f"{plan.model} {plan.canary} {progress.phase}, {progress.weights[plan.canary]} %"
    return f"{MARK}{what} {progress.model_dump_json(exclude_defaults=True)}"


def _kept(description: str) -> Progress | None:
    if not description.startswith(MARK):
        return None
    try:
        return Progress.model_validate_json(description[description.index("{") :])
    except (ValidationError, ValueError):
        return None  # somebody else's words
