"""What a load test came to: a text, a folder with a report, and an exit code."""

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loadtests.load.bench import Bench, Moment
from loadtests.load.page import document
from loadtests.load.totals import KINDS, Totals

HOLDS, BROKEN, UNTRUSTED = 0, 1, 3
"""Exit codes: the objectives hold; one does not, or nothing was answered; the generator was the bottleneck."""
QUANTILES = (0.5, 0.9, 0.95, 0.99)
COLUMNS = (
    "at", "users", "finished", "failed", "good", "tokens", "ttft_p50", "ttft_p95", "ttft_p99", "tpot_p50", "tpot_p95",
    "itl_p50", "itl_p99", "generator_late", "generator_busy",
)  # fmt: skip


def conclude(bench: Bench) -> int:
    """Write and say what was found; the exit code."""
    if bench.watching is not None:
        bench.watching.kill()
        bench.close_second()
    lines = list(said(bench))
    folder: Path = bench.options.out
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_text(json.dumps(summary(bench), indent=2), encoding="utf-8")
    timeline(folder / "timeline.csv", bench.moments)
    (folder / "report.html").write_text(document(bench, lines), encoding="utf-8")
    print("\n".join(["", *lines, f"report: {folder / 'report.html'}"]))
    return code(bench)


def code(bench: Bench) -> int:
    if bench.pulse.bottleneck:
        return UNTRUSTED
    if bench.knee is not None:
        return HOLDS if bench.knee.best is not None else BROKEN
    answered = any(totals.ok for totals in bench.records.totals.values())
    return HOLDS if answered and all(verdict.holds for _, verdict in bench.verdicts()) else BROKEN


def said(bench: Bench) -> Iterator[str]:
    seconds = length(bench)
    for model, totals in bench.records.totals.items():
        yield from _of_model(model, totals, seconds)
    yield from _objectives(bench) if bench.knee is None else _knee(bench)
    yield bench.pulse.verdict()


def _objectives(bench: Bench) -> Iterator[str]:
    for model, verdict in bench.verdicts():
        broken = "; ".join(verdict.broken)
        yield f"{model}: objectives {'hold' if verdict.holds else f'DO NOT HOLD: {broken}'}"


def length(bench: Bench) -> float:
    return bench.moments[-1].at if bench.moments else 0.0


def _of_model(model: str, totals: Totals, seconds: float) -> Iterator[str]:
    ended = ", ".join(f"{count} {outcome}" for outcome, count in totals.outcomes.most_common())
    rates = f"{totals.finished / seconds:.2f} requests/s, goodput {totals.good / seconds:.2f}/s" if seconds else ""
    yield f"{model}: {ended}; {rates}, {totals.tokens / max(seconds, 1e-9):.0f} output tokens/s"
    for kind in KINDS:
        found = totals.seconds[kind]
        if len(found) and not (kind == "TTFT" and not totals.tokens):
            quantiles = "  ".join(f"p{q * 100:g} {_ms(found.quantile(q))}" for q in QUANTILES)
            yield f"  {kind:7}{quantiles}  ({len(found)})"


def _knee(bench: Bench) -> Iterator[str]:
    assert bench.knee is not None
    for level in bench.knee.levels:
        state = "holds" if level.holds else level.why
        figures = f"goodput {level.goodput:.2f}/s, TTFT {_ms(level.ttft)}, TPOT {_ms(level.tpot)}"
        yield f"  {level.users:4} users: {figures}: {state}"
    best = bench.knee.best
    if best is None:
        yield "knee: no level holds the objectives"
    else:
        found = "" if bench.knee.users is None else " (so far: the test ended before the search did)"
        yield f"knee: {best.users} users, goodput {best.goodput:.2f} answers/s, {best.tokens:.0f} tokens/s{found}"


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.4g} ms"


def summary(bench: Bench) -> dict[str, Any]:
    knee = bench.knee
    return {
        "seconds": length(bench),
        "models": {model: _totals(totals) for model, totals in bench.records.totals.items()},
        "objectives": {model: asdict(verdict) for model, verdict in bench.verdicts()},
        "knee": None if knee is None else {
            "best": None if knee.best is None else asdict(knee.best),
            "levels": [asdict(level) for level in knee.levels],
        },
        "generator": {"bottleneck": bench.pulse.bottleneck, "verdict": bench.pulse.verdict()},
        "options": {name: str(value) for name, value in vars(bench.options).items() if name in bench.told},
    }  # fmt: skip


def _totals(totals: Totals) -> dict[str, Any]:
    quantiles = {
        kind: {"count": len(found), "mean": found.mean, **{f"p{q * 100:g}": found.quantile(q) for q in QUANTILES}}
        for kind, found in totals.seconds.items()
    }
    return {"outcomes": dict(totals.outcomes), "good": totals.good, "tokens": totals.tokens, "seconds": quantiles}


def timeline(path: Path, moments: list[Moment]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for moment in moments:
            writer.writerow(_row(moment))


def _row(moment: Moment) -> list[object]:
    came = Totals()
    for totals in moment.came.values():
        came.add(totals)
    quantiles = [
        came.seconds[kind].quantile(q)
        for kind, qs in (("TTFT", (0.5, 0.95, 0.99)), ("TPOT", (0.5, 0.95)), ("ITL", (0.5, 0.99))) for q in qs
    ]  # fmt: skip
    failed = came.finished - came.ok
    return [
        round(moment.at, 3), moment.users, came.finished, failed, came.good, came.tokens, *quantiles,
        moment.second.late, moment.second.busy,
    ]  # fmt: skip
