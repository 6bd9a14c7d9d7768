"""Figures as the rows of tables: the same on a screen that lives and in a text that is printed once."""

from collections.abc import Iterator, Mapping

from rich.table import Table
from rich.text import Text

from services.local.top.figures import EndpointFigures, Figures, Spread, VersionFigures

MODELS = (
    "model", "version", "running", "queued", "req/s", "TTFT p50", "p95", "TPOT p50", "p95", "answer p95", "tokens/s",
    "errors", "SLO met",
)  # fmt: skip
ENDPOINTS = ("model", "endpoint", "state", "running")
OUTCOMES = ("model", "outcome", "requests")
NONE = "-"
GOOD, WARN, BAD = "green", "yellow", "bold red"
Row = tuple[Text, ...]


def summary(shown: Figures) -> str:
    state = "draining" if shown.draining else "taking requests"
    window = f"last {shown.seconds:.0f} s" if shown.seconds else "no rates yet"
    return (
        f"{state} · {window} · {shown.requests_per_second:.1f} requests/s · "
        f"{shown.output_tokens_per_second:.0f} tokens/s · {shown.memory / 2**20:.0f} MiB"
    )


def models(shown: Figures) -> Iterator[Row]:
    named = ""
    for found in shown.models:
        yield _model(found, first=found.model != named)
        named = found.model


def _model(found: VersionFigures, *, first: bool) -> Row:
    """What is of the whole model stands beside its first version only."""
    return (
        Text(found.model if first else "", GOOD if found.ready else BAD), Text(found.version or NONE),
        _right(str(found.running) if first else ""), _right(str(found.queued) if first else "", found.queued and WARN),
        _right(f"{found.requests_per_second:.1f}"), *_spread(found.ttft), *_spread(found.tpot),
        _right(time(found.duration.p95)), _right(f"{found.output_tokens_per_second:.0f}"),
        _right(str(found.errors), found.errors and BAD), _slo(found.slo) if first else Text(),
    )  # fmt: skip


def endpoints(shown: Figures) -> Iterator[Row]:
    for found in shown.endpoints:
        yield Text(found.model), Text(found.endpoint), _state(found), _right(str(found.running))


def _state(found: EndpointFigures) -> Text:
    if not found.healthy:
        return Text("down", BAD)
    return Text("ejected", WARN) if found.ejected else Text("healthy", GOOD)


def outcomes(shown: Figures) -> Iterator[Row]:
    """What did not end well, and why."""
    for found in shown.models:
        yield from _ended(f"{found.model} {found.version}", found.outcomes)
    yield from _ended(NONE, shown.refused)


def _ended(whose: str, counts: Mapping[str, int]) -> Iterator[Row]:
    for outcome, count in counts.items():
        if outcome != "ok":
            yield Text(whose), Text(outcome, WARN), _right(str(count))


def time(seconds: float | None) -> str:
    if seconds is None:
        return NONE
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.{1 if seconds < 0.1 else 0}f} ms"


def _spread(found: Spread) -> tuple[Text, Text]:
    return _right(time(found.p50)), _right(time(found.p95))


def _slo(met: Mapping[str, float]) -> Text:
    shares = [Text(f"{name} {share:.1%}", BAD if share < 0.9 else GOOD) for name, share in met.items()]
    return Text("  ").join(shares) if shares else Text(NONE)


def _right(text: str, style: str | int | None = None) -> Text:
    return Text(text, style if isinstance(style, str) else "", justify="right")


def printed(shown: Figures) -> Iterator[Table | str]:
    yield summary(shown)
    for columns, rows in ((MODELS, models(shown)), (ENDPOINTS, endpoints(shown)), (OUTCOMES, outcomes(shown))):
        table = Table(*columns)
        for row in rows:
            table.add_row(*row)
        if table.row_count:
            yield table
