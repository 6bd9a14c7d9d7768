"""What the registry promises of a model, held against what was measured."""

from dataclasses import dataclass

from loadtests.load.totals import Totals
from services.gateway.registry import Slo


@dataclass(frozen=True, slots=True)
class Verdict:
    ttft: float | None
    tpot: float | None
    """Seconds at the quantile that is judged."""
    available: float
    """Share of the requests that were answered whole."""
    broken: tuple[str, ...]
    """The objectives that do not hold, each with what was measured."""

    @property
    def holds(self) -> bool:
        return not self.broken


def judge(found: Totals, slo: Slo, quantile: float) -> Verdict:
    """TTFT and TPOT at this quantile, availability over all. Nothing measured holds nothing."""
    ttft, tpot = (found.seconds[kind].quantile(quantile) for kind in ("TTFT", "TPOT"))
    available = found.ok / found.finished if found.finished else 0.0
    broken = [
        f"{name} p{quantile * 100:g} is {measured * 1000:.0f} ms, {promised * 1000:g} ms are promised"
        for name, promised, measured in (("TTFT", slo.ttft, ttft), ("TPOT", slo.tpot, tpot))
        if promised is not None and measured is not None and measured > promised
    ]
    least = (slo.availability or 0.0) / 100
    if not found.finished:
        broken.append("no answer came")
    elif available < least:
        broken.append(f"{available:.2%} were answered whole, {least:.2%} are promised")
    return Verdict(ttft, tpot, available, tuple(broken))
