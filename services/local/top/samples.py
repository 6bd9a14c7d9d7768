"""A `/metrics` page, read as Prometheus reads it, and what changed between two readings of it."""

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Samples:
    values: dict[tuple[str, Labels], float]

    def of(self, name: str, **labels: str) -> Iterator[tuple[dict[str, str], float]]:
        """Labels and value of each of a metric's samples that has these labels among its own."""
        wanted = set(labels.items())
        for (found, pairs), value in self.values.items():
            if found == name and wanted <= pairs:
                yield dict(pairs), value

    def sum(self, name: str, **labels: str) -> float:
        return sum(value for _, value in self.of(name, **labels))

    def since(self, before: "Samples", name: str, **labels: str) -> float:
        return self.sum(name, **labels) - before.sum(name, **labels)

    def by(self, label: str, name: str, **labels: str) -> dict[str, float]:
        """Sums of a metric's samples by one label's values."""
        sums: dict[str, float] = {}
        for found, value in self.of(name, **labels):
            sums[found[label]] = sums.get(found[label], 0.0) + value
        return sums

    def by_since(self, before: "Samples", label: str, name: str, **labels: str) -> dict[str, float]:
        """What was added to each of `by`."""
        old = before.by(label, name, **labels)
        return {value: count - old.get(value, 0.0) for value, count in self.by(label, name, **labels).items()}

    def __len__(self) -> int:
        return len(self.values)


def parse(text: str) -> Samples:
    """Raises ValueError for a text that is no metrics page."""
    return Samples(
        {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    )


def quantile(q: float, buckets: dict[str, float]) -> float | None:
    """Prometheus' `histogram_quantile` of counts by `le`; None where nothing was observed.

    Linear within a bucket. What lies above the last bound is given as that bound, since nothing more is known of it.
    """
    rows = sorted((float(bound), count) for bound, count in buckets.items())
    if not rows or rows[-1][1] <= 0:
        return None
    rank = q * rows[-1][1]
    below, reached = 0.0, 0.0
    for bound, count in rows:
        if count >= rank and count > reached:
            return below if bound == float("inf") else below + (bound - below) * (rank - reached) / (count - reached)
        below, reached = bound, count
    return below
