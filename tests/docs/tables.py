"""What the docs hold that is made from the code: each piece is Markdown between two marker comments."""

import importlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import typer
from prometheus_client import CollectorRegistry
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings
from typer.core import TyperOption

from services.common.errors import NaruError
from services.common.settings import Section
from services.gateway.api.operations import OPERATIONS
from services.gateway.api.tasks import SURFACES
from services.gateway.metrics import Metrics
from services.gateway.upstream.discovery.metrics import DiscoveryMetrics
from services.local.rollout import rollout_app
from services.observability.rules import files
from services.observability.rules.rule import Alert
from tests.chart.values import CHART, read
from tests.observability.boards import PANELS, boards
from tests.support.faults import FAULTS, Fault, Result

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference.md"
ROLLOUT = ROOT / "docs" / "rollout.md"
GENERATED = (
    REFERENCE,
    ROOT / "docs" / "resilience.md",
    ROOT / "docs" / "observability.md",
    ROOT / "README.md",
    ROOT / "README.ko.md",
    CHART / "README.md",
    ROLLOUT,
)
"""The documents that hold generated pieces."""
_PIECE = re.compile(r"(?P<begin><!-- generated: (?P<name>\w+) -->(?P<line>\n?)).*?<!-- end -->", re.DOTALL)


def table(header: str, rows: Iterator[str]) -> str:
    rule = "|" + "---|" * (header.count("|") - 1)
    return "\n".join([header, rule, *rows])


def errors() -> str:
    return table("| error | HTTP | gRPC | `type` | `code` | retry |", _errors(NaruError, 0))


def _errors(kind: type[NaruError], depth: int) -> Iterator[str]:
    for child in kind.__subclasses__():
        indent = "&nbsp;&nbsp;" * depth
        retry = "yes" if child.retryable else "no"
        yield (
            f"| {indent}`{child.__name__}` | {child.http_status} | {child.grpc_code} | `{child.kind}` "
            f"| `{child.reason}` | {retry} |"
        )
        yield from _errors(child, depth + 1)


def metrics() -> str:
    return table("| metric | type | labels | meaning |", _metrics())


def _metrics() -> Iterator[str]:
    registry = CollectorRegistry()
    for instrument in (*vars(Metrics(registry)).values(), *vars(DiscoveryMetrics(registry)).values()):
        name = instrument._name + ("_total" if instrument._type == "counter" else "")
        labels = ", ".join(f"`{label}`" for label in instrument._labelnames)
        yield f"| `{name}` | {instrument._type} | {labels} | {instrument._documentation} |"


def operations() -> str:
    return table("| route | model's task | `operation` in metrics | what |", _operations())


def _operations() -> Iterator[str]:
    for operation in OPERATIONS:
        yield f"| `POST {operation.path}` | {operation.task} | `{operation.name}` | {operation.summary} |"
    for surface in SURFACES:
        yield f"| `POST {surface.path}` | {surface.task} | `{surface.operation}` | {surface.summary} |"


def settings() -> str:
    return table("| variable | default | meaning |", (_row(name, field) for name, field in variables()))


def variables() -> Iterator[tuple[str, FieldInfo]]:
    """Every variable that some service's settings read, with the field it sets."""
    for path in sorted(ROOT.glob("services/*/settings.py")):
        module = importlib.import_module(f"services.{path.parent.name}.settings")
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, BaseSettings) and kind.__module__ == module.__name__:
                yield from _variables(kind, "NARU_")


def _variables(kind: type[Section] | type[BaseSettings], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in kind.model_fields.items():
        variable = f"{prefix}{name.upper()}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _variables(field.annotation, f"{variable}__")
        else:
            yield variable, field


def _row(variable: str, field: FieldInfo) -> str:
    return f"| `{variable}` | {_default(field)} | {' '.join((field.description or '').split())} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None:
        return "computed"
    return "unset" if field.default is None else f"`{field.default}`"


def faults() -> str:
    columns = ("the client gets", "outcome", "attempts")
    heads = (f"{where}: {column}" for where in ("alone", "beside another") for column in columns)
    return table(f"| the endpoint | {' | '.join(heads)} |", (_fault(fault) for fault in FAULTS))


def _fault(fault: Fault) -> str:
    why = f" (`{fault.why}`)" if fault.why and fault.beside.attempts > 1 else ""
    results = (f"{_client(result)} | `{result.outcome}` | {result.attempts}" for result in (fault.alone, fault.beside))
    return f"| {fault.name} | {' | '.join(results)}{why} |"


def _client(result: Result) -> str:
    if result.code is not None and result.status == 200:
        said = f"error event `{result.code}`"
    elif result.code is not None:
        said = f"{result.status} `{result.code}`"
    else:
        said = "the whole answer" if result.outcome == "ok" else f"{result.status}, as the engine said it"
    return said if result.retry_after is None else f"{said}, `Retry-After: {result.retry_after}`"


def held_out(language: str) -> str:
    """The committed sentiment head's accuracies, of three classes and of positive against negative."""
    metadata = ROOT / "services" / "sentiment" / "head" / "metadata.json"
    scores = json.loads(metadata.read_text(encoding="utf-8"))["held_out"][language]
    return ", ".join(f"{scores[name]:.3f}".removeprefix("0") for name in ("three_class_accuracy", "binary_accuracy"))


def values() -> str:
    """What the chart's values are, from their comments."""
    found = (value for top in read() for value in top.walk() if value.meaning)
    return table("| value | default | meaning |", (_value(value.path, value.default, value.meaning) for value in found))


def _value(path: tuple[str, ...], default: object, meaning: str) -> str:
    shown = json.dumps(default, ensure_ascii=False)
    return f"| `{'.'.join(path)}` | `{shown if len(shown) <= 60 else '…'}` | {meaning.replace('|', chr(92) + '|')} |"


def rollout_options() -> str:
    return table("| option | default | meaning |", _rollout_options())


def _rollout_options() -> Iterator[str]:
    """Those of `naru rollout start`."""
    group = typer.main.get_group(rollout_app)
    for option in group.commands["start"].params:
        if isinstance(option, TyperOption):
            default = "required" if option.required else f"`{option.default}`" if option.default else ""
            yield f"| {', '.join(f'`{name}`' for name in option.opts)} | {default} | {option.help} |"


def alerts() -> str:
    return table("| alert | severity | what it says |", _alerts())


def _alerts() -> Iterator[str]:
    """A row for each name: the windows of a burn rate are one."""
    rows: dict[str, tuple[set[str], set[str]]] = {}
    for groups in files().values():
        for rule in (rule for group in groups for rule in group.rules if isinstance(rule, Alert)):
            severities, said = rows.setdefault(rule.name, (set(), set()))
            severities.add("critical for a core model" if "criticality" in rule.severity else rule.severity)
            said.add(_spoken(rule))
    for name, (severities, said) in rows.items():
        yield f"| [{name}](runbooks/{name}.md) | {', '.join(sorted(severities))} | {'<br>'.join(sorted(said))} |"


def _spoken(rule: Alert) -> str:
    """Its summary as people say it: each value by its name."""
    summary = re.sub(r"\{\{ with .*?\{\{ end \}\}", "*target*", rule.summary)
    summary = re.sub(r"\{\{ \$(?:labels\.)?(\w+)[^}]*\}\}", r"*\1*", summary)
    return summary.replace(f"last {rule.labels.get('window')};", "last *window*;")


def cluster_panels() -> str:
    found: dict[str, list[str]] = {}
    for panel in PANELS:
        if panel.outside:
            found.setdefault(boards()[panel.board]["title"].removeprefix("Naru / "), []).append(panel.title)
    return "\n".join(f"- *{board}*: {', '.join(titles)}" for board, titles in found.items())


PIECES: dict[str, Callable[[], str]] = {
    "operations": operations, "errors": errors, "metrics": metrics, "settings": settings,
    "faults": faults, "alerts": alerts, "cluster_panels": cluster_panels, "values": values,
    "rollout_options": rollout_options,
    "sentiment_english": lambda: held_out("english"), "sentiment_korean": lambda: held_out("korean"),
}  # fmt: skip


def regenerated(text: str) -> str:
    """The text with every piece between `<!-- generated: name -->` and `<!-- end -->` made again."""
    return _PIECE.sub(lambda old: f"{old['begin']}{PIECES[old['name']]()}{old['line']}<!-- end -->", text)
