"""Overview: do the users get what they were promised?"""

from grafana_foundation_sdk.models.dashboard import Dashboard

from services.observability.board import MODEL, RUNBOOKS, board
from services.observability.panels import Query, above, below, graph, number, promise, rows
from services.observability.promql import FAILED, JUDGED, quantile, share, total

_AT = 'namespace=~"$namespace",model=~"$model"'
_GENAI = 'namespace=~"$namespace",gen_ai_request_model=~"$model"'
_REQUESTS = "naru_requests_total"
_FIRING = 'ALERTS{alertname=~"Naru.+",alertstate="firing",namespace=~"$namespace"}'
_TTFT, _DURATION = "gen_ai_server_time_to_first_token_seconds", "gen_ai_server_request_duration_seconds"


def _failed(by: str = "") -> str:
    failed = total(_REQUESTS, _AT, f'outcome=~"{FAILED}"', by=by)
    return share(failed, total(_REQUESTS, _AT, JUDGED, by=by))


def _good(by: str = "") -> str:
    judged = total("naru_slo_requests_total", _AT, 'objective="availability"', by=by)
    return share(total("naru_good_requests_total", _AT, by=by), judged)


def overview() -> Dashboard:
    return board(
        "overview", "Overview", "What users get of every model, and what of their error budgets is left.",
        (MODEL, RUNBOOKS),
        ("Now", (
            number("Requests", "reqps", "Requests that ended, whatever way.", Query(total(_REQUESTS, _AT))),
            number("Failed", "percentunit", "Share of the requests that failed by the service's fault. What the client "
                   "chose (cancelled, malformed, over quota) is not in it; what was shed is.",
                   Query(_failed()), above(0.01)),
            number("Goodput", "reqps", "Requests that met every objective of their model at once.",
                   Query(total("naru_good_requests_total", _AT))),
            number("Good share", "percentunit", "Goodput as a share of the requests of models with an objective of "
                   "availability.", Query(_good()), below(0.95)),
            number("In flight", "short", "Requests being answered or waiting for their turn.",
                   Query(f"sum (naru_inflight_requests{{{_AT}}})")),
            number("Alerts", "short", "Alerts that fire.", Query(f"count ({_FIRING}) or vector(0)"), above(1)),
        )),
        ("Promises", (
            graph("Attained, last hour", "percentunit", "Share of the requests of the last hour that met each "
                  "objective. Each request is judged by its own times, so no bucket's edge blurs it.",
                  Query(f"1 - naru:slo_errors:ratio_rate1h{{{_AT}}}", "{{model}} {{objective}}"),
                  promise(f"naru:slo_target:ratio{{{_AT}}}", "target {{model}} {{objective}}"), width=12),
            graph("Error budget left, 30 days", "percentunit", "1: nothing of the budget is used. 0: all of it; the "
                  "promise is broken below. Prometheus must keep 30 days, or it is what is left of those it keeps.",
                  Query(f"naru:slo_budget_left:ratio30d{{{_AT}}}", "{{model}} {{objective}}"), width=12),
            graph("Burn rate, 1 h", "short", "How many times faster than allowed the budget is being used: at 1 it "
                  "lasts its 30 days exactly, at 14.4 two days.",
                  Query(f"naru:slo_burn:rate1h{{{_AT}}}", "{{model}} {{objective}}"), width=12),
            graph("Goodput", "reqps", "Requests that met every objective of their model, beside all that were judged.",
                  Query(total("naru_good_requests_total", _AT, by="model"), "{{model}} good"),
                  promise(total("naru_slo_requests_total", _AT, 'objective="availability"', by="model"),
                          "{{model}} all"), width=12),
        )),
        ("Traffic", (
            graph("Requests by model", "reqps", "Requests that ended.",
                  Query(total(_REQUESTS, _AT, by="model"), "{{model}}"), stacked=True),
            graph("Requests by outcome", "reqps", "How requests ended: `ok`, or the code the client was given. A "
                  "stream that broke is not `ok`.",
                  Query(total(_REQUESTS, _AT, by="outcome"), "{{outcome}}"), stacked=True),
            graph("Failed by model", "percentunit", "Share of the requests that failed by the service's fault.",
                  Query(_failed("model"), "{{model}}")),
            graph("Time to first token, p99", "s", "Of streamed answers, as it left the gateway.",
                  Query(quantile(0.99, _TTFT, _GENAI, 'stream="true"', by="gen_ai_request_model"),
                        "{{gen_ai_request_model}}", exemplars=True)),
            graph("Duration, p99", "s", "From a request's last byte to the end of its answer, where that is `ok`.",
                  Query(quantile(0.99, _DURATION, _GENAI, 'error_type=""', by="gen_ai_request_model"),
                        "{{gen_ai_request_model}}", exemplars=True)),
            graph("In flight", "short", "Requests being answered or waiting for their turn.",
                  Query(f"sum by (model) (naru_inflight_requests{{{_AT}}})", "{{model}}")),
        )),
        ("Alerts", (
            rows("Firing", "short", "Every alert that fires. A row leads to its runbook.", Query(_FIRING, "firing"),
                 link=("Runbook", "${runbooks}/${__data.fields.alertname}.md")),
        )),
    )  # fmt: skip
