"""Samples of a `/metrics` page, read as Prometheus reads them."""

from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True)
class Samples:
    values: dict[tuple[str, frozenset[tuple[str, str]]], float]

    def sum(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels among theirs."""
        wanted = set(labels.items())
        return sum(value for (found, pairs), value in self.values.items() if found == name and wanted <= pairs)

    def since(self, before: "Samples", name: str, **labels: str) -> float:
        return self.sum(name, **labels) - before.sum(name, **labels)

    def __len__(self) -> int:
        return len(self.values)


def parse(text: str) -> Samples:
    return Samples(
        {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    )


def scrape(admin: str) -> Samples:
    """`admin` is an admin port's address, `http://host:port`."""
    return parse(httpx.get(f"{admin}/metrics", timeout=10).raise_for_status().text)
