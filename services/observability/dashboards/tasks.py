"""Task models: latency, batches and quality, version by version."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from services.observability.board import TASK_MODEL, VERSION, board
from services.observability.panels import Query, density, graph, rows
from services.observability.promql import FAILED, JUDGED, QUANTILES, buckets, mean, quantile, share, total

_AT = 'namespace=~"$namespace",model=~"$model",version=~"$version"'
_CLIENT = 'namespace=~"$namespace",gen_ai_operation_name!~"chat|.*completion|responses|messages|embeddings",' + (
    'gen_ai_request_model=~"$model",version=~"$version"'
)
_SERVICE = 'namespace=~"$namespace",naru_model=~"$model",naru_version=~"$version"'
_DURATION, _OWN = "gen_ai_server_request_duration_seconds", "bentoml_service_request_duration_seconds"
_BATCH = "bentoml_service_adaptive_batch_size"
_CALLS = 'endpoint!~"/(metrics|readyz|livez|healthz)"'
_BY, _SERVICE_BY = "model, version", "naru_model, naru_version"
_NAME = "{{naru_model}} {{naru_version}}"


def tasks() -> Dashboard:
    failed = total("naru_requests_total", _AT, f'outcome=~"{FAILED}"', by=_BY)
    return board(
        "tasks", "Task models", "Classifiers, recommenders and their like on BentoML.", (TASK_MODEL, VERSION),
        ("What users feel", (
            graph("Requests", "reqps", "Requests that ended, by version.",
                  Query(total("naru_requests_total", _AT, by=_BY), "{{model}} {{version}}"), stacked=True),
            graph("Failed", "percentunit", "Share of the requests that failed by the service's fault.",
                  Query(share(failed, total("naru_requests_total", _AT, JUDGED, by=_BY)), "{{model}} {{version}}")),
            graph("Outcomes", "reqps", "How requests ended: `ok`, or the code the client was given.",
                  Query(total("naru_requests_total", _AT, by="outcome"), "{{outcome}}"), stacked=True),
            graph("Latency, client's edge", "s", "From the request's last byte at the gateway to the end of an answer "
                  "that is `ok`.",
                  *(Query(quantile(q, _DURATION, _CLIENT, 'error_type=""', by="gen_ai_request_model, version"),
                          f"p{q * 100:g} {{{{gen_ai_request_model}}}} {{{{version}}}}", exemplars=True)
                    for q in QUANTILES), width=12),
            graph("Latency, service", "s", "BentoML's own clock, of answers of status 200.",
                  *(Query(quantile(q, _OWN, _SERVICE, _CALLS, 'http_response_code="200"', by=_SERVICE_BY),
                          f"p{q * 100:g} {_NAME}") for q in QUANTILES), width=12),
            density("Latency, client's edge", "s", "Requests a second by how long they took.",
                    buckets(_DURATION, _CLIENT, 'error_type=""')),
            density("Latency, service", "s", "Requests a second by BentoML's own clock.",
                    buckets(_OWN, _SERVICE, _CALLS)),
        )),
        ("The service", (
            graph("Batch size", "short", "Items that were computed together: the median, and p99.",
                  *(Query(quantile(q, _BATCH, _SERVICE, by=_SERVICE_BY), f"p{q * 100:g} {_NAME}")
                    for q in (0.5, 0.99))),
            graph("Batch size, mean", "short", "Within the window. 1 means that batching does nothing.",
                  Query(mean(_BATCH, _SERVICE, by=_SERVICE_BY), _NAME)),
            graph("In progress", "short", "Requests inside the service.",
                  Query(f"sum by ({_SERVICE_BY}) (bentoml_service_request_in_progress{{{_SERVICE},{_CALLS}}})",
                        _NAME)),
        )),
        ("Quality", (
            rows("Quality by version", "percentunit", "Measured on held-out data when the version was trained.",
                 Query(f"max by (model, version, measure) (naru_model_quality{{{_AT}}})", "quality")),
        )),
    )  # fmt: skip
