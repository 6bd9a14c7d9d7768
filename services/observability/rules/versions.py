"""A canary is held against the version that it is to replace: the one with the greatest weight."""

from services.observability.promql import FAILED, JUDGED
from services.observability.rules.rule import SCOPE, Alert, Group, Recording

_BY = f"{SCOPE}, model, version"
_MODEL = f"{SCOPE}, model"
_JUDGED = f'naru_requests_total{{version!="",{JUDGED}}}'
_LEAST = 20
"""Requests below which a version's figures say nothing."""


def _latency(metric: str, matcher: str) -> str:
    labels = f"le, {SCOPE}, gen_ai_request_model, version"
    found = f"histogram_quantile(0.95, sum by ({labels}) (rate({metric}_bucket{{{matcher}}}[10m])))"
    renamed = f'label_replace({found}, "model", "$1", "gen_ai_request_model", "(.+)")'
    return f"max by ({_BY}) ({renamed})"


def _stable(record: str) -> str:
    """The figure of the version with the greatest weight; of several such, the best."""
    stable = f"naru:version:weight == on ({_MODEL}) group_left () max by ({_MODEL}) (naru:version:weight)"
    return f"min by ({_MODEL}) ({record} and on ({_BY}) ({stable}))"


_FAILED = f'sum by ({_BY}) (rate(naru_requests_total{{version!="",outcome=~"{FAILED}"}}[10m]))'
_ALL = f"sum by ({_BY}) (rate({_JUDGED}[10m]))"
RECORDED = Group(
    "naru-versions",
    (
        Recording("naru:version:weight", f"max by ({_BY}) (naru_version_weight)"),
        Recording("naru:version_requests:increase10m", f"sum by ({_BY}) (increase({_JUDGED}[10m]))"),
        Recording("naru:version_failed:ratio_rate10m", f"({_FAILED} or 0 * {_ALL}) / {_ALL}"),
        Recording("naru:version_ttft:p95_rate10m", _latency(
            "gen_ai_server_time_to_first_token_seconds", 'stream="true"')),
        Recording("naru:version_duration:p95_rate10m", _latency(
            "gen_ai_server_request_duration_seconds", 'error_type=""')),
        Recording("naru:stable_failed:ratio_rate10m", _stable("naru:version_failed:ratio_rate10m")),
        Recording("naru:stable_ttft:p95_rate10m", _stable("naru:version_ttft:p95_rate10m")),
        Recording("naru:stable_duration:p95_rate10m", _stable("naru:version_duration:p95_rate10m")),
    ),
    interval="30s",
)  # fmt: skip


def _worse(figure: str, limit: str) -> str:
    record, stable = f"naru:version_{figure}10m", f"naru:stable_{figure}10m"
    return (
        f"({record} > on ({_MODEL}) group_left () ({stable} {limit}))\n"
        f"  and on ({_BY}) (naru:version:weight > 0)\n"
        f"  and on ({_BY}) (naru:version_requests:increase10m >= {_LEAST})"
    )


def _alert(figure: str, limit: str, summary: str) -> Alert:
    where = "rollout?var-model={{ $labels.model }}"
    return Alert(
        "NaruCanaryWorse", _worse(figure, limit), "2m", "warning",
        f"Version {{{{ $labels.version }}}} of {{{{ $labels.model }}}} {summary}", where,
        {"figure": figure.partition(":")[0]},
    )  # fmt: skip


ALERTS = Group(
    "naru-version-alerts",
    (
        _alert("failed:ratio_rate", "* 2 + 0.01", "fails {{ $value | humanizePercentage }} of its requests, more than "
               "twice as many as the version with the greatest weight"),
        _alert("ttft:p95_rate", "* 1.5 + 0.05", "needs {{ $value | humanizeDuration }} to the first token (p95), over "
               "half as much again as the version with the greatest weight"),
        _alert("duration:p95_rate", "* 1.5 + 0.05", "needs {{ $value | humanizeDuration }} for an answer (p95), over "
               "half as much again as the version with the greatest weight"),
    ),
)  # fmt: skip
