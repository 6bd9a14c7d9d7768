"""The objectives of the registry: error budgets, and alerts on how fast they burn.

Multi-window, multi-burn-rate alerts as in the Site Reliability Workbook, chapter 5, table 5-8: a long window says that
it matters, a short one that it is still so. Targets come from the gateway's metrics, so a model that is added to the
registry is watched from its first request, without a change here.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from services.observability.rules.rule import BY_ROLE, ROLE, SCOPE, Alert, Group, Recording, by_role

LABELS = f"{SCOPE}, model, objective"
SHORT, LONG = ("30m", "1h", "2h", "6h"), ("1d", "3d", "30d")
OFTEN, SELDOM = "30s", "2m"
"""A month of samples is not summed twice a minute."""
HIGHEST = 0.8
"""A share of failed requests that is always too much: with a target of 90 %, 14.4 times the budget never comes."""
LEAST = 5
"""Requests that must have failed within the long window: a single one at night wakes nobody."""


@dataclass(frozen=True, slots=True)
class Burn:
    factor: float
    """How many times faster than allowed."""
    long: str
    short: str
    lasting: str
    severity: str


BURNS: tuple[Burn, ...] = (
    Burn(14.4, "1h", "5m", "2m", BY_ROLE),
    Burn(6, "6h", "30m", "15m", BY_ROLE),
    Burn(3, "1d", "2h", "1h", "warning"),
    Burn(1, "3d", "6h", "3h", "warning"),
)
PROMISES = {"availability": "were not answered", "ttft": "had a late first token", "tpot": "had late tokens"}


def _rate(name: str, matcher: str) -> Recording:
    return Recording(f"naru:slo_{name}:rate5m", f"sum by ({LABELS}) (rate(naru_slo_requests_total{matcher}[5m]))")


def _ratio(window: str) -> Recording:
    """Weighted by traffic: the sums are divided, not the ratios averaged."""
    parts = (f"sum_over_time(naru:slo_{name}:rate5m[{window}])" for name in ("failed", "judged"))
    return Recording(f"naru:slo_errors:ratio_rate{window}", " / ".join(parts))


RECORDED = Group(
    "naru-objectives",
    (
        Recording("naru:slo_target:ratio", f"max by ({LABELS}) (naru_slo_target_ratio)"),
        # One of each, also while gateways before and after a change of the registry disagree.
        Recording(ROLE, f"topk by ({SCOPE}, model) (1, group by ({SCOPE}, model, criticality) (naru_model_info))"),
        _rate("failed", '{met="false"}'),
        _rate("judged", ""),
        Recording("naru:slo_errors:ratio_rate5m", "naru:slo_failed:rate5m / naru:slo_judged:rate5m"),
        *(_ratio(window) for window in SHORT),
        Recording("naru:slo_burn:rate1h", f"naru:slo_errors:ratio_rate1h / on ({LABELS}) (1 - naru:slo_target:ratio)"),
    ),
    OFTEN,
)
RECORDED_LONG = Group(
    "naru-objectives-long",
    (
        *(_ratio(window) for window in LONG),
        Recording(
            "naru:slo_budget_left:ratio30d",
            f"1 - naru:slo_errors:ratio_rate30d / on ({LABELS}) (1 - naru:slo_target:ratio)",
        ),
    ),
    SELDOM,
)


def _burning(objective: str, burn: Burn) -> str:
    at = f'{{objective="{objective}"}}'
    limit = f"clamp_max({burn.factor:g} * (1 - naru:slo_target:ratio{at}), {HIGHEST})"
    over = (f"naru:slo_errors:ratio_rate{window}{at} > on ({LABELS}) {limit}" for window in (burn.long, burn.short))
    bad = f'sum by ({LABELS}) (increase(naru_slo_requests_total{{objective="{objective}",met="false"}}[{burn.long}]))'
    return by_role("\n    and ".join(f"({part})" for part in (*over, f"{bad} >= {LEAST}")))


def _alert(objective: str, burn: Burn) -> Alert:
    what = PROMISES[objective]
    allowed = (
        f'{{{{ with printf `1 - naru:slo_target:ratio{{model="%s",objective="{objective}"}}` $labels.model | query }}}}'
        "{{ . | first | value | humanizePercentage }}{{ end }}"
    )
    return Alert(
        f"Naru{objective.capitalize()}Burn", _burning(objective, burn), burn.lasting, burn.severity,
        f"{{{{ $value | humanizePercentage }}}} of the requests to {{{{ $labels.model }}}} {what} in the last "
        f"{burn.long}; {allowed} may",
        "overview?var-model={{ $labels.model }}", {"window": burn.long},
    )  # fmt: skip


def _alerts(name: str, interval: str, burns: Iterable[Burn]) -> Group:
    return Group(name, tuple(_alert(objective, burn) for objective in PROMISES for burn in burns), interval)


ALERTS = _alerts("naru-objective-alerts", OFTEN, BURNS[:2])
ALERTS_LONG = _alerts("naru-objective-alerts-long", SELDOM, BURNS[2:])
