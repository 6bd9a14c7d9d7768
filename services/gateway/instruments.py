"""Counters and histograms that cost a tenth of a microsecond, put into Prometheus' form only when scraped.

Made for one event loop: the loop writes and the admin port's scrape reads on the same thread, so there are no locks and
nothing is lost. `prometheus_client`'s own children take a lock for each observation, and a request makes ten. Whoever
owns histograms calls `fold` now and then, so that observations do not pile up between two scrapes.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from time import time
from typing import TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

T = TypeVar("T")
Labels = tuple[str, ...]
"""Values, in the order of the names."""


class Count:
    """A sum: of a counter's it only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        self.value += amount


class Buckets:
    """Observations by their size: `counts[i]` are those at most `bounds[i]` and above the bound before it."""

    __slots__ = ("_exemplars", "_waiting", "bounds", "counts", "observe", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self._waiting: list[float] = []
        self.observe = self._waiting.append
        """Takes a value. It is sorted into its bucket later, with others: all that is paid here is one append."""
        self._exemplars: dict[int, Exemplar] = {}

    def exemplify(self, value: float, trace_id: str) -> None:
        """Make an observation its bucket's exemplar: a trace in which to see why it is where it is."""
        self._exemplars[bisect_left(self.bounds, value)] = Exemplar({"trace_id": trace_id}, value, time())

    def fold(self) -> None:
        """Sort what waits into the buckets."""
        waiting = sorted(self._waiting)
        self._waiting.clear()
        self.sum += sum(waiting)
        below = 0
        for index, bound in enumerate(self.bounds):
            upto = bisect_right(waiting, bound, below)
            self.counts[index] += upto - below
            below = upto
        self.counts[-1] += len(waiting) - below

    def cumulative(self) -> Sequence[tuple[str, float] | tuple[str, float, Exemplar]]:
        self.fold()
        total = 0
        rows: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
        for index, (bound, count) in enumerate(zip((*self.bounds, float("inf")), self.counts, strict=True)):
            total += count
            name = "+Inf" if bound == float("inf") else str(float(bound))
            exemplar = self._exemplars.get(index)
            rows.append((name, float(total)) if exemplar is None else (name, float(total), exemplar))
        return rows


class Counts(Collector):
    """A counter by its labels, or a gauge that goes up and down."""

    # Named as prometheus_client's own instruments name them: the reference's table reads both.

    def __init__(
        self, name: str, what: str, labels: Iterable[str], registry: CollectorRegistry, *, gauge: bool = False
    ) -> None:
        self._name, self._documentation, self._labelnames = name.removesuffix("_total"), what, tuple(labels)
        self._type = "gauge" if gauge else "counter"
        self._family = GaugeMetricFamily if gauge else CounterMetricFamily
        self._children: dict[tuple[str, ...], Count] = {}
        registry.register(self)

    def labels(self, *values: str) -> Count:
        """The child for these label values, in the order of the names."""
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = Count()
        return child

    def forget(self, gone: Callable[[Mapping[str, str]], bool]) -> None:
        """Drop the children whose labels are gone; who still holds one counts in vain."""
        self._children = _without(self._children, self._labelnames, gone)

    def keep_only(self, wanted: Collection[Labels]) -> None:
        """Forget the children of all other label values."""
        self._children = {values: child for values, child in self._children.items() if values in wanted}

    def collect(self) -> Iterator[Metric]:
        family = self._family(self._name, self._documentation, labels=self._labelnames)
        for values, child in self._children.items():
            family.add_metric(values, child.value)
        yield family


class Readings(Collector):
    """A gauge, or a counter, that is read where it is scraped: a label no longer read is no longer there."""

    def __init__(
        self, name: str, what: str, labels: Iterable[str], registry: CollectorRegistry, *, gauge: bool = True
    ) -> None:
        self._name, self._documentation, self._labelnames = name.removesuffix("_total"), what, tuple(labels)
        self._type = "gauge" if gauge else "counter"
        self._family = GaugeMetricFamily if gauge else CounterMetricFamily
        self.read: Callable[[], Mapping[Labels, float]] = dict
        """Gives the values by their labels."""
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        family = self._family(self._name, self._documentation, labels=self._labelnames)
        for values, value in self.read().items():
            family.add_metric(values, value)
        yield family


class Histograms(Collector):
    """A histogram by its labels; `bounds` are upper and inclusive, ascending, without infinity."""

    _type = "histogram"

    def __init__(
        self, name: str, what: str, labels: Iterable[str], bounds: Iterable[float], registry: CollectorRegistry
    ) -> None:
        self._name, self._documentation, self._labelnames = name, what, tuple(labels)
        self._bounds = tuple(bounds)
        self._children: dict[tuple[str, ...], Buckets] = {}
        registry.register(self)

    def labels(self, *values: str) -> Buckets:
        """The child for these label values, in the order of the names."""
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = Buckets(self._bounds)
        return child

    def forget(self, gone: Callable[[Mapping[str, str]], bool]) -> None:
        """Drop the children whose labels are gone; who still holds one observes in vain."""
        self._children = _without(self._children, self._labelnames, gone)

    def fold(self) -> None:
        for child in self._children.values():
            child.fold()

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labelnames)
        for values, child in self._children.items():
            family.add_metric(values, child.cumulative(), child.sum)
        yield family


def _without(children: Mapping[Labels, T], names: Labels, gone: Callable[[Mapping[str, str]], bool]) -> dict[Labels, T]:
    return {
        values: child for values, child in children.items() if not gone(dict(zip(names, values, strict=True)))
    }  # fmt: skip
