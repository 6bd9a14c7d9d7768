"""Rollout: a new version beside the one it replaces."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from services.observability.board import MODEL, VERSION, board
from services.observability.panels import Query, graph, rows
from services.observability.promql import FAILED, JUDGED, quantile, share, total

_AT = 'namespace=~"$namespace",model=~"$model",version=~"$version"'
_GENAI = 'namespace=~"$namespace",gen_ai_request_model=~"$model",version=~"$version"'
_BY, _GENAI_BY = "model, version", "gen_ai_request_model, version"
_NAME, _GENAI_NAME = "{{model}} {{version}}", "{{gen_ai_request_model}} {{version}}"
_REQUESTS = "naru_requests_total"


def _compared(metric: str, *matchers: str) -> list[Query]:
    return [
        Query(quantile(q, metric, _GENAI, *matchers, by=_GENAI_BY), f"p{q * 100:g} {_GENAI_NAME}", exemplars=q > 0.5)
        for q in (0.5, 0.95)
    ]


def rollout() -> Dashboard:
    requests = total(_REQUESTS, _AT, 'version!=""', by=_BY)
    judged = total(_REQUESTS, _AT, 'version!=""', JUDGED, by=_BY)
    failed = total(_REQUESTS, _AT, 'version!=""', f'outcome=~"{FAILED}"', by=_BY)
    return board(
        "rollout", "Rollout", "Canary against stable, side by side.", (MODEL, VERSION),
        ("Traffic", (
            graph("Weight", "percentunit", "The share that the registry gives each version.",
                  Query(f"max by ({_BY}) (naru_version_weight{{{_AT}}})", _NAME), width=6),
            graph("Share of the requests", "percentunit", "The share that each version got.",
                  Query(f"{requests} / on (model) group_left () sum by (model) ({requests})", _NAME), width=6),
            graph("Requests", "reqps", "Requests that ended, by version.", Query(requests, _NAME), stacked=True,
                  width=6),
            graph("Healthy endpoints", "short", "By the worst-informed gateway.",
                  Query(f"min by ({_BY}) (naru_version_healthy_endpoints{{{_AT}}})", _NAME), width=6),
        )),
        ("Errors", (
            graph("Failed", "percentunit", "Share of the requests that failed by the version's fault.",
                  Query(share(failed, judged), _NAME)),
            graph("Good", "percentunit", "Share of the requests that met every objective of the model at once.",
                  Query(share(total("naru_good_requests_total", _AT, by=_BY), judged), _NAME)),
            graph("Failures by outcome", "reqps", "The codes that clients were given.",
                  Query(total(_REQUESTS, _AT, 'version!=""', 'outcome!="ok"', by=f"{_BY}, outcome"),
                        _NAME + " {{outcome}}")),
        )),
        ("Times", (
            graph("Time to first token", "s", "Of streamed answers.",
                  *_compared("gen_ai_server_time_to_first_token_seconds", 'stream="true"')),
            graph("Time per output token", "s", "Of complete streams.",
                  *_compared("gen_ai_server_time_per_output_token_seconds")),
            graph("Duration", "s", "Of answers that are `ok`.",
                  *_compared("gen_ai_server_request_duration_seconds", 'error_type=""')),
        )),
        ("Shadows", (
            graph("Copies", "reqps", "Requests that a shadow version got a copy of, by how they ended; `skipped`: not "
                  "sent.",
                  Query(total("naru_mirrored_requests_total", _AT, by=f"{_BY}, outcome"), _NAME + " {{outcome}}"),
                  width=12),
            graph("Duration of copies", "s", "From sending a copy to the end of its answer.",
                  *(Query(quantile(q, "naru_mirrored_request_duration_seconds", _AT, by=_BY), f"p{q * 100:g} {_NAME}")
                    for q in (0.5, 0.95)), width=12),
        )),
        ("Quality", (
            rows("Held-out quality", "percentunit", "Of task models, measured when each version was trained.",
                 Query(f"max by ({_BY}, measure) (naru_model_quality{{{_AT}}})", "quality")),
        )),
    )  # fmt: skip
