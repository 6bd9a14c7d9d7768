"""Gateway: what it adds, what it decides, and how it is itself."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from services.observability.board import MODEL, board
from services.observability.panels import Panel, Query, graph, promise
from services.observability.promql import quantile, share, total

_AT = 'namespace=~"$namespace",model=~"$model"'
_GENAI = 'namespace=~"$namespace",gen_ai_request_model=~"$model"'
_HERE = 'namespace=~"$namespace"'
_TARGET = "{{pod}}{{instance}}"
_OWN = f"and on (namespace, instance) naru_event_loop_lag_seconds_count{{{_HERE}}}"
"""Of the process metrics, those of gateways: engines have such metrics too."""


def _quantiles(metric: str, *matchers: str) -> list[Query]:
    return [Query(quantile(q, metric, *matchers), f"p{q * 100:g}", exemplars=True) for q in (0.5, 0.99)]


def _times() -> tuple[Panel, ...]:
    return (
        graph("Overhead", "s", "What the gateway itself added to the first token.",
              *_quantiles("naru_gateway_overhead_seconds", _GENAI)),
        graph("Time to first byte", "s", "From the request's last byte to the answer's first.",
              *_quantiles("naru_time_to_first_byte_seconds", _GENAI)),
        graph("Loop lag", "s", "How late the event loop is, and with it everything the gateway does.",
              *_quantiles("naru_event_loop_lag_seconds", _HERE)),
        graph("CPU", "percentunit", "Of one core: a gateway is one process and can use no more.",
              Query(f"rate(process_cpu_seconds_total{{{_HERE}}}[$__rate_interval]) {_OWN}", _TARGET)),
        graph("Memory", "bytes", "Resident.", Query(f"process_resident_memory_bytes{{{_HERE}}} {_OWN}", _TARGET)),
        graph("File descriptors", "short", "Open, beside what is allowed.",
              Query(f"process_open_fds{{{_HERE}}} {_OWN}", _TARGET),
              promise(f"min (process_max_fds{{{_HERE}}} {_OWN})", "allowed")),
    )  # fmt: skip


def _endpoints() -> tuple[Panel, ...]:
    where = "{{model}} {{endpoint}}"
    return (
        graph("Healthy endpoints", "short", "By the worst-informed gateway, beside all that are configured.",
              Query(f"min by (model) (sum by (model, instance) (naru_endpoint_healthy{{{_AT}}}))", "{{model}}"),
              promise(f"max by (model) (count by (model, instance) (naru_endpoint_healthy{{{_AT}}}))",
                      "{{model}} configured")),
        graph("In flight", "short", "Requests at each endpoint, of all gateways.",
              Query(f"sum by (model, endpoint) (naru_endpoint_inflight{{{_AT}}})", where)),
        graph("Ejected", "short", "Gateways that keep requests away from an endpoint for how it answers.",
              Query(f"sum by (model, endpoint) (naru_endpoint_circuit_open{{{_AT}}})", where)),
        graph("Ejections", "ops", "Ejections a second.",
              Query(total("naru_endpoint_ejections_total", _AT, by="model, endpoint"), where)),
        graph("Retries", "reqps", "Requests sent to a further endpoint, by what was wrong with the one before.",
              Query(total("naru_retries_total", _AT, by="model, reason"), "{{model}} {{reason}}"),
              Query(total("naru_retry_budget_exhausted_total", _AT, by="model"), "{{model}} budget spent")),
        graph("Hedges and fallbacks", "reqps", "Slow requests that were asked twice, and requests sent to another "
              "model.",
              Query(total("naru_hedges_total", _AT, by="model, outcome"), "hedge {{model}} {{outcome}}"),
              Query(total("naru_fallbacks_total", _AT, by="model, fallback"), "{{model}} → {{fallback}}")),
        graph("Migrations", "reqps", "Streams whose engine died, by whether another one continued them.",
              Query(total("naru_migrations_total", _AT, by="model, outcome"), "{{model}} {{outcome}}")),
        graph("Requests by gateway", "reqps", "Each gateway's share: uneven where clients keep their connections.",
              Query(total("naru_requests_total", _AT, by="instance, pod"), _TARGET), stacked=True),
        graph("Mirrored", "reqps", "Copies for shadow versions, by how they ended.",
              Query(total("naru_mirrored_requests_total", _AT, by="model, outcome"), "{{model}} {{outcome}}")),
    )  # fmt: skip


def _decisions() -> tuple[Panel, ...]:
    asked, hit = (total("naru_cache_requests_total", _AT, which, by="model") for which in ("", 'result="hit"'))
    return (
        graph("Waiting", "short", "Requests that wait for their turn, beside how many may.",
              Query(f"sum by (model, priority) (naru_queue_depth{{{_AT}}})", "{{model}} {{priority}}"),
              promise(f"sum by (model) (naru_queue_limit{{{_AT}}})", "{{model}} may wait")),
        graph("Shed", "reqps", "Requests that got no turn, by why.",
              Query(total("naru_shed_total", _AT, by="model, reason"), "{{model}} {{reason}}")),
        graph("Refused for a limit", "reqps", "429 for a limit of the key's or the tenant's.",
              Query(total("naru_quota_refusals_total", _HERE, by="scope, limit"), "{{scope}} {{limit}}")),
        graph("Cache hits", "percentunit", "Of the requests for models that have a cache.",
              Query(share(hit, asked), "{{model}}")),
        graph("Cache size", "bytes", "Of the answers that are kept, of all gateways.",
              Query(f"sum by (model) (naru_cache_bytes{{{_AT}}})", "{{model}}")),
        graph("Cache entries", "short", "Answers that are kept, of all gateways.",
              Query(f"sum by (model) (naru_cache_entries{{{_AT}}})", "{{model}}")),
    )  # fmt: skip


def _state() -> tuple[Panel, ...]:
    return (
        graph("Redis", "bool_on_off", "Whether the Redis that shares the limits answers each gateway.",
              Query(f"naru_limits_backend_up{{{_HERE}}}", _TARGET)),
        graph("Configuration", "bool_yes_no", "Whether each file, as it is now, was taken over.",
              Query(f"min by (file) (naru_config_last_reload_successful{{{_HERE}}})", "{{file}}")),
        graph("Certificate", "s", "Until the certificate of a port ends.",
              Query(f"min by (port) (naru_certificate_expiry_timestamp_seconds{{{_HERE}}}) - time()", "{{port}}")),
        graph("Discovered endpoints", "short", "What the API server says of each version's pods.",
              Query(f"max by (model, version, state) (naru_discovered_endpoints{{{_AT}}})",
                    "{{model}} {{version}} {{state}}")),
        graph("Discovery", "s", "Since the API server was last heard; and, where it is away, by how many gateways.",
              Query(f"naru_discovery_last_event_age_seconds{{{_HERE}}}", _TARGET),
              Query(f"sum (naru_discovery_connected{{{_HERE}}} == bool 0)", "gateways cut off")),
        graph("Discovery faults", "ops", "What broke a watch, and why endpoints were listed anew.",
              Query(total("naru_discovery_faults_total", _HERE, by="reason"), "{{reason}}"),
              Query(total("naru_discovery_lists_total", _HERE, by="reason"), "list: {{reason}}")),
    )  # fmt: skip


def gateway() -> Dashboard:
    return board(
        "gateway", "Gateway", "The gateway's own work, decisions and state.", (MODEL,),
        ("Itself", _times()), ("Endpoints", _endpoints()), ("Decisions", _decisions()), ("State", _state()),
    )  # fmt: skip
