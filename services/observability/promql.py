"""PromQL in the few shapes that dashboards and rules use: rates and quantiles over a window, never over a lifetime."""

from collections.abc import Iterable, Iterator

from services.common.errors import ClientGone, DeadlineExceeded, NaruError, QuotaExceeded, Saturated

WINDOW = "$__rate_interval"
"""Grafana's: as long as the panel's resolution asks for, and never shorter than four scrapes."""
QUANTILES = (0.5, 0.9, 0.99)


def selector(*matchers: str) -> str:
    return "{" + ",".join(matcher for matcher in matchers if matcher) + "}"


def total(metric: str, *matchers: str, by: str = "", window: str = WINDOW, function: str = "rate") -> str:
    """The sum of a counter's rates (or of its increases), by some labels."""
    return f"sum{_by(by)} ({function}({metric}{selector(*matchers)}[{window}]))"


def quantile(q: float, metric: str, *matchers: str, by: str = "", window: str = WINDOW) -> str:
    """Of a histogram, over all gateways or engines; `metric` without `_bucket`."""
    return f"histogram_quantile({q}, {buckets(metric, *matchers, by=by, window=window)})"


def buckets(metric: str, *matchers: str, by: str = "", window: str = WINDOW) -> str:
    return total(f"{metric}_bucket", *matchers, by=f"le, {by}" if by else "le", window=window)


def mean(metric: str, *matchers: str, by: str = "", window: str = WINDOW) -> str:
    """Of what a histogram took within the window."""
    parts = (total(f"{metric}{end}", *matchers, by=by, window=window) for end in ("_sum", "_count"))
    return " / ".join(parts)


def share(part: str, whole: str) -> str:
    """0 to 1. A counter that never counted has no series: then the part is 0, not unknown."""
    return f"({part} or 0 * {whole}) / {whole}"


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""


def _leaves(kind: type[NaruError]) -> Iterator[type[NaruError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _leaves(child)


def _words(kinds: Iterable[type[NaruError]]) -> str:
    return "|".join(sorted({kind.reason for kind in kinds}))


_BLAMELESS = (ClientGone, DeadlineExceeded, QuotaExceeded)
FAILED = _words(kind for kind in _leaves(NaruError) if kind.http_status >= 500 or kind is Saturated)
"""The outcomes that are the service's fault, as a regular expression. What it shed counts: a user was refused."""
BLAMELESS = _words(k for k in _leaves(NaruError) if k in _BLAMELESS or (k.http_status < 500 and k is not Saturated))
"""The outcomes that are the client's own doing; those of `engine_refused` besides."""
JUDGED = f'outcome!~"engine_refused|{BLAMELESS}"'
"""The requests by which the service is judged."""
