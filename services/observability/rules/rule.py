"""Recording rules and alerts, as Prometheus' rule files have them."""

from dataclasses import dataclass, field
from typing import Any

import yaml

SCOPE = "namespace"
"""What keeps two installations of one Prometheus apart; empty on a laptop."""
ROLE = "naru:model:role"
"""1 for each model, its criticality beside it."""
BY_ROLE = '{{ if eq $labels.criticality "core" }}critical{{ else }}warning{{ end }}'
"""Nobody is woken for a model without which the product still works."""


@dataclass(frozen=True, slots=True)
class Recording:
    record: str
    expr: str

    def entry(self) -> dict[str, Any]:
        return {"record": self.record, "expr": self.expr}


@dataclass(frozen=True, slots=True)
class Alert:
    name: str
    """Also its runbook's: docs/runbooks/<name>.md."""
    expr: str
    lasting: str
    """How long `expr` must hold before anyone is told."""
    severity: str
    """critical: wake someone. warning: within the day."""
    summary: str
    """One line with the numbers, in Prometheus' template language."""
    dashboard: str
    """The one that shows it, and how it is narrowed: `llm?var-model=…`."""
    labels: dict[str, str] = field(default_factory=dict)

    def entry(self) -> dict[str, Any]:
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.lasting,
            "labels": {"severity": self.severity, **self.labels},
            "annotations": {
                "summary": self.summary,
                "dashboard_url": f"/d/naru-{self.dashboard}",
                "runbook_url": f"docs/runbooks/{self.name}.md",
            },
        }


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    rules: tuple[Recording | Alert, ...]
    interval: str | None = None
    """How often it is computed; the Prometheus' own where None."""

    def entry(self) -> dict[str, Any]:
        made: dict[str, Any] = {"name": self.name}
        if self.interval is not None:
            made["interval"] = self.interval
        return made | {"rules": [rule.entry() for rule in self.rules]}


class _Dumper(yaml.SafeDumper):
    """Long expressions stay in one piece and in order."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def dump(groups: tuple[Group, ...]) -> str:
    """A rule file, as `promtool check rules` reads it."""
    return yaml.dump(
        {"groups": [group.entry() for group in groups]}, Dumper=_Dumper, sort_keys=False, width=10_000,
        allow_unicode=True,
    )  # fmt: skip


def by_role(expr: str, on: str = f"{SCOPE}, model") -> str:
    """What `expr` finds, with the criticality of its model."""
    return f"({expr})\n  * on ({on}) group_left (criticality) {ROLE}"
