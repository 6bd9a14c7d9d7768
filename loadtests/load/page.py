"""The report: one HTML file with its plots in it, for any browser and for a CI's artefacts."""

from collections.abc import Callable, Iterable, Sequence
from html import escape

from loadtests.load.bench import Bench, Moment
from loadtests.load.chart import Line, chart
from loadtests.load.totals import Totals
from services.gateway.registry import Slo, Task

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2rem auto; padding: 0 1rem; color: #10222b; }
h2 { margin-top: 2rem; } pre { background: #f3f6f7; padding: 1rem; overflow: auto; }
svg { width: 100%; height: auto; } figure { margin: 1.5rem 0; }
"""
SPREAD = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))


def document(bench: Bench, lines: Iterable[str]) -> str:
    told = " ".join(f"{name}={value}" for name in bench.told if (value := getattr(bench.options, name)) is not None)
    body = "".join(f"<figure>{each}</figure>" for each in plots(bench))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Load test</title><style>{STYLE}</style>'
        f"<h1>Load test</h1><p>{escape(str(bench.options.host))}: {escape(told)}</p>"
        f"<pre>{escape(chr(10).join(lines))}</pre>{body}</html>"
    )


def plots(bench: Bench) -> list[str]:
    moments = bench.moments
    model = bench.models.get(Task.CHAT, "")
    slo = bench.slos.get(model, Slo())
    drawn = [
        chart("Users", "", [Line("users", [(moment.at, moment.users) for moment in moments])]),
        chart("Answers a second", "/s", [
            Line("finished", _counts(moments, lambda found: found.finished)),
            Line("good", _counts(moments, lambda found: found.good)),
            Line("failed", _counts(moments, lambda found: found.finished - found.ok)),
        ]),
        chart("Output tokens a second", "/s", [Line("tokens", _counts(moments, lambda found: found.tokens))]),
    ]  # fmt: skip
    for kind, limit in (("TTFT", slo.ttft), ("TPOT", slo.tpot), ("ITL", None)):
        lines = [Line(name, _quantiles(moments, model, kind, q)) for q, name in SPREAD]
        drawn.append(chart(f"{kind} of {model}", " ms", lines, limit=None if limit is None else limit * 1000))
    late = [(moment.at, moment.second.late * 1000) for moment in moments]
    drawn.append(chart("The generator itself: late by", " ms", [Line("p99", late)]))
    return drawn + _levels(bench)


def _levels(bench: Bench) -> list[str]:
    if bench.knee is None or not bench.knee.levels:
        return []
    levels = sorted(bench.knee.levels, key=lambda level: level.users)
    points = [(float(level.users), level.goodput) for level in levels]
    return [chart("Goodput by users", "/s", [Line("goodput", points)], x="users")]


def _counts(moments: Sequence[Moment], read: Callable[[Totals], float]) -> list[tuple[float, float]]:
    return [(moment.at, sum(read(found) for found in moment.came.values())) for moment in moments]


def _quantiles(moments: Sequence[Moment], model: str, kind: str, q: float) -> list[tuple[float, float]]:
    """Milliseconds; seconds in which nothing came have none."""
    found = [(moment.at, moment.came[model].seconds[kind].quantile(q)) for moment in moments if model in moment.came]
    return [(at, value * 1000) for at, value in found if value is not None]
