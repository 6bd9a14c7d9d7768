"""The dashboards as they are committed: their panels and queries."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from services.observability.generate import TARGET

OUTSIDE = re.compile(r"\b(DCGM_|kube_|certmanager_|naru:node_pool:|naru_discover)")
"""Series that only a cluster with GPUs has; the tests serve recorded ones in their place."""


@dataclass(frozen=True)
class Panel:
    board: str
    title: str
    data: dict[str, Any]

    @property
    def id(self) -> str:
        return f"{self.board}: {self.title}"

    @property
    def queries(self) -> list[str]:
        return [target["expr"] for target in self.data["targets"]]

    @property
    def outside(self) -> bool:
        return any(OUTSIDE.search(query) for query in self.queries)


def boards() -> dict[str, dict[str, Any]]:
    """By the name of their file."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted((TARGET / "dashboards").glob("*.json"))}


def panels() -> Iterator[Panel]:
    for name, board in boards().items():
        yield from (Panel(name, panel["title"], panel) for panel in board["panels"] if panel["type"] != "row")


PANELS = list(panels())
