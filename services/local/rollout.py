"""`naru rollout`: gives a new version of a model the traffic, step by step, while it shows that it deserves it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr, ValidationError

from services.common.paths import state_dir
from services.rollout.clock import Clock
from services.rollout.errors import InterruptedRolloutError, RefusedError, RolloutError
from services.rollout.look import Watch
from services.rollout.plan import Plan
from services.rollout.prometheus import Prometheus
from services.rollout.result import Outcome, Result
from services.rollout.rollout import Exam, Rollout
from services.rollout.settings import Settings
from services.rollout.step import Tools
from services.rollout.targets.helm_release import Helm, HelmRelease
from services.rollout.targets.registry_file import RegistryFile
from services.rollout.targets.target import Target

rollout_app = typer.Typer(
    help="Give a new version the traffic step by step, and take it back where it is worse.", no_args_is_help=True
)

Model = Annotated[str, typer.Argument(help="The model, as the registry names it.")]
Registry = Annotated[
    Path | None,
    typer.Option(
        envvar="NARU_GATEWAY__REGISTRY", show_envvar=True, help="The registry file; 'naru up' writes the default one."
    ),
]
Release = Annotated[str | None, typer.Option(help="Or a Helm release: weights are changed by 'helm upgrade'.")]
Chart = Annotated[str | None, typer.Option(help="The chart that the release runs: folder, archive or reference.")]
ChartVersion = Annotated[str | None, typer.Option(help="Its version, where the chart is a reference.")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="The release's namespace.")]
Context = Annotated[str | None, typer.Option("--kube-context", help="The cluster, as the kubeconfig names it.")]
HelmBinary = Annotated[str, typer.Option("--helm", help="The helm to call.")]
Url = Annotated[str | None, typer.Option("--prometheus", help="Its address; NARU_ROLLOUT__PROMETHEUS where left out.")]
Match = Annotated[
    list[str] | None,
    typer.Option(
        help="label=value that the gateways' series have in Prometheus, such as namespace=prod. Again for more."
    ),
]


class Output(StrEnum):
    TEXT = "text"
    JSON = "json"


Format = Annotated[Output, typer.Option("--output", "-o", help="What is printed at the end.")]


def fail(message: str, code: int = 1) -> typer.Exit:
    typer.echo(f"naru: {message}", err=True)
    return typer.Exit(code)


def _target(  # noqa: PLR0913, PLR0917 - one for each option
    registry: Path | None, release: str | None, chart: str | None, version: str | None, namespace: str | None,
    context: str | None, helm: str,
) -> Target:  # fmt: skip
    if release is None:
        if chart or version or namespace or context:
            raise fail("--chart, --chart-version, --namespace and --kube-context belong to --release", 2)
        return RegistryFile(registry or state_dir() / "registry.yaml")
    if chart is None:
        raise fail("--release needs --chart: the chart that the release runs", 2)
    return HelmRelease(Helm(release, chart, namespace, version, context, helm))


@contextmanager
def _rollout(target: Target, model: str, url: str | None, match: list[str] | None) -> Iterator[Rollout]:
    """With everything it works with; what can't be done ends the command."""
    try:
        found = Settings().rollout
    except ValidationError as error:
        raise fail(f"NARU_ROLLOUT__*: {error.errors()[0]['msg']}", 2) from None
    pairs = [each.partition("=") for each in match or []]
    if not all(separator for _, separator, _ in pairs):
        raise fail("--match: give label=value", 2)
    prometheus = Prometheus(
        url or found.prometheus, found.prometheus_token, {label: value for label, _, value in pairs}
    )  # fmt: skip
    try:
        yield Rollout(Tools(target, Watch(prometheus, model), Clock(), _progress))
    except RefusedError as error:
        raise fail(str(error), 2) from None
    except InterruptedRolloutError as error:
        raise fail(f"{error}, before anything was changed", 130) from None
    except RolloutError as error:
        raise fail(str(error)) from None
    finally:
        prometheus.close()


def _progress(line: str) -> None:
    typer.echo(f"{datetime.now(UTC):%H:%M:%S} {line}", err=True)


def _end(result: Result, form: Output) -> typer.Exit:
    shown = json.dumps(result.json_ready(), ensure_ascii=False, indent=2) if form is Output.JSON else result.text()
    typer.echo(shown)
    return typer.Exit(result.outcome.exit_code)


def _plan(given: dict[str, Any]) -> Plan:
    try:
        return Plan.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        faults = [": ".join([*map(str, e["loc"][:1]), e["msg"].removeprefix("Value error, ")]) for e in error.errors()]
        raise fail("; ".join(faults), 2) from None


def _listed(given: str | None) -> list[str] | None:
    return None if given is None else [each.strip() for each in given.split(",")]


@rollout_app.command()
def start(  # noqa: PLR0913, PLR0917 - one for each option
    model: Model,
    canary: Annotated[str, typer.Option(help="The version that is to take over; its weight is 0 now.")],
    registry: Registry = None,
    release: Release = None,
    chart: Chart = None,
    chart_version: ChartVersion = None,
    namespace: Namespace = None,
    kube_context: Context = None,
    helm: HelmBinary = "helm",
    prometheus: Url = None,
    match: Match = None,
    steps: Annotated[str, typer.Option(help="The canary's share in each step, per cent.")] = "1,5,25,50,100",
    bake: Annotated[str, typer.Option(help="How long a step lasts at least; one for all, or one for each.")] = "5m",
    patience: Annotated[str, typer.Option(help="How long an undecided step goes on.")] = "30m",
    interval: Annotated[str, typer.Option(help="Between two looks.")] = "10s",
    settle: Annotated[str, typer.Option(help="How long gateways may take to have new weights.")] = "2m",
    blind: Annotated[str, typer.Option(help="How long Prometheus may be away, or what it has be old.")] = "1m",
    confidence: Annotated[float, typer.Option(help="Of each bound that a decision rests on, per cent.")] = 95,
    margin: Annotated[float, typer.Option(help="What the next step may cost at worst, per cent of all requests.")] = 1,
    least: Annotated[int, typer.Option(help="Requests that the canary must have in each step.")] = 30,
    undecided: Annotated[str, typer.Option(help="What becomes of it where patience ends: hold or rollback.")] = "hold",
    on_interrupt: Annotated[str, typer.Option(help="What SIGINT and SIGTERM do: rollback or keep.")] = "rollback",
    probes: Annotated[
        Path | None, typer.Option(help="JSON lines with questions and right answers: asked before any traffic.")
    ] = None,
    accuracy_margin: Annotated[float, typer.Option(min=0, help="Points of accuracy that may be lost at worst.")] = 3,
    gateway: Annotated[str, typer.Option(help="Where the probes are sent.")] = "http://127.0.0.1:8080",
    api_key: Annotated[str | None, typer.Option(envvar="NARU_API_KEY", help="The key they are sent with.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, say what would be done.")] = False,
    output: Format = Output.TEXT,
) -> None:
    """Roll a version out.

    Exits with 0 once it has all the traffic, 3 if it was rolled back, 4 if it is held for too little to judge by, 5 if
    somebody else changed the weights, 130 if interrupted, 1 on a failure, 2 if it can't begin.
    """
    plan = _plan({
        "model": model, "canary": canary, "steps": _listed(steps), "bake": _listed(bake), "patience": patience,
        "interval": interval, "settle": settle, "blind": blind, "confidence": confidence, "margin": margin,
        "least": least, "undecided": undecided, "on_interrupt": on_interrupt,
    })  # fmt: skip
    target = _target(registry, release, chart, chart_version, namespace, kube_context, helm)
    with _rollout(target, model, prometheus, match) as rollout:
        if dry_run:
            _show_outlook(rollout.outlook(plan), plan, output)
            return
        key = SecretStr(api_key) if api_key else None
        exam = None if probes is None else Exam(probes, gateway, key, accuracy_margin)
        raise _end(rollout.start(plan, exam), output)


def _show_outlook(lines: list[str], plan: Plan, form: Output) -> None:
    if form is Output.JSON:
        typer.echo(json.dumps({"plan": plan.model_dump(mode="json"), "outlook": lines}, ensure_ascii=False, indent=2))
    else:
        typer.echo("\n".join(lines))


@rollout_app.command()
def resume(  # noqa: PLR0913, PLR0917 - one for each option
    model: Model, registry: Registry = None, release: Release = None, chart: Chart = None,
    chart_version: ChartVersion = None, namespace: Namespace = None, kube_context: Context = None,
    helm: HelmBinary = "helm", prometheus: Url = None, match: Match = None, output: Format = Output.TEXT,
) -> None:  # fmt: skip
    """Go on with a rollout that was killed or held, at the step it had come to. Exits as 'start' does."""
    target = _target(registry, release, chart, chart_version, namespace, kube_context, helm)
    with _rollout(target, model, prometheus, match) as rollout:
        raise _end(rollout.resume(model), output)


@rollout_app.command()
def rollback(  # noqa: PLR0913, PLR0917 - one for each option
    model: Model, registry: Registry = None, release: Release = None, chart: Chart = None,
    chart_version: ChartVersion = None, namespace: Namespace = None, kube_context: Context = None,
    helm: HelmBinary = "helm", prometheus: Url = None, match: Match = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Only a rollout that did not come to its end: for a job's last step.")
    ] = False,
    output: Format = Output.TEXT,
) -> None:  # fmt: skip
    """Give every version the weight it had before the last rollout. Exits with 0 if they have it."""
    target = _target(registry, release, chart, chart_version, namespace, kube_context, helm)
    with _rollout(target, model, prometheus, match) as rollout:
        result = rollout.rollback(model, unfinished=unfinished)
        code = _end(result, output).exit_code
        raise typer.Exit(0 if result.outcome in (Outcome.ROLLED_BACK, Outcome.PROMOTED) else code)


@rollout_app.command()
def status(  # noqa: PLR0913, PLR0917 - one for each option
    model: Model, registry: Registry = None, release: Release = None, chart: Chart = None,
    chart_version: ChartVersion = None, namespace: Namespace = None, kube_context: Context = None,
    helm: HelmBinary = "helm", output: Format = Output.TEXT,
) -> None:  # fmt: skip
    """How far the last rollout came, and the weights as they are."""
    target = _target(registry, release, chart, chart_version, namespace, kube_context, helm)
    try:
        progress, weights = target.progress(model), target.read(model).weights
    except RolloutError as error:
        raise fail(str(error)) from None
    if progress is None:
        raise fail(f"there is no rollout of {model} in {target.name}")
    if output is Output.JSON:
        shown = {**progress.model_dump(mode="json"), "weights": weights, "as_expected": weights in progress.expected}
        typer.echo(json.dumps(shown, ensure_ascii=False, indent=2))
        return
    plan = progress.plan
    since = datetime.fromtimestamp(progress.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    typer.echo(f"{model} {plan.canary}: {progress.phase.replace('_', ' ')} since {since} {progress.reason}".rstrip())
    typer.echo(f"  step {progress.step + 1} of {len(plan.steps)}: {plan.steps[progress.step]} %; weights: {weights}")
    if weights not in progress.expected:
        typer.echo("  somebody else has changed the weights since")
