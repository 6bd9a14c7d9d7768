"""What charts/naru/values.yaml says of itself: each value's meaning, default and schema, from the comments above it.

`# --` begins the meaning, which goes on over the comment's next lines; `# @schema` is a piece of JSON schema in YAML.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "charts" / "naru"


@dataclass(frozen=True)
class Value:
    """One key of values.yaml."""

    path: tuple[str, ...]
    default: Any
    meaning: str
    schema: dict[str, Any]
    children: tuple["Value", ...]

    def walk(self) -> Iterator["Value"]:
        yield self
        for child in self.children:
            yield from child.walk()


def read() -> tuple[Value, ...]:
    """The values of the chart, in the file's order."""
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    node = yaml.compose(text)
    assert isinstance(node, yaml.MappingNode)
    return tuple(_values(node, text.splitlines(), ()))


def _values(node: yaml.MappingNode, lines: list[str], above: tuple[str, ...]) -> Iterator[Value]:
    for key, child in node.value:
        path = (*above, key.value)
        meaning, schema = _comment(lines, key.start_mark.line)
        closed = "$ref" in schema or "additionalProperties" in schema
        nested = isinstance(child, yaml.MappingNode) and not closed
        children = tuple(_values(child, lines, path)) if nested else ()
        yield Value(path, yaml.safe_load(yaml.serialize(child)), meaning, schema, children)


def _comment(lines: list[str], line: int) -> tuple[str, dict[str, Any]]:
    """The meaning and the schema in the comment block that ends above a line."""
    meaning, schema = "", {}
    first = line
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    for text in (comment.lstrip().removeprefix("#").strip() for comment in lines[first:line]):
        if text.startswith("@schema"):
            schema = yaml.safe_load(text.removeprefix("@schema"))
        elif text.startswith("--"):
            meaning = text.removeprefix("--").strip()
        elif meaning:
            meaning = f"{meaning} {text}"
    return meaning, schema
