"""What makes users suffer soon, or explains why they do: the gateway's and the engines' own troubles."""

from services.observability.rules.rule import BY_ROLE, SCOPE, Alert, Group, by_role

_MODEL = f"{SCOPE}, model"
_ENGINE = f"{SCOPE}, model_name"
_ENDPOINT = f"{SCOPE}, model, endpoint"
_ENGINE_BOARD, _GATEWAY_BOARD = "llm?var-model={{ $labels.model_name }}", "gateway?var-model={{ $labels.model }}"
_ENGINES_SEEN = f"""\
  unless on ({_MODEL}) label_replace(group by ({_ENGINE}) (vllm:num_requests_running), \
"model", "$1", "model_name", "(.+)")"""

_ENDPOINTS = (
    Alert(
        # A model that may have no pod (`activation`) says whether it is wanted; that is another alert.
        "NaruNoHealthyEndpoint",
        by_role(f"max by ({_MODEL}) (naru_version_healthy_endpoints) == bool 0")
        + f" == 1\n  unless on ({_MODEL}) naru_model_activating",
        "1m",
        BY_ROLE, "No endpoint of {{ $labels.model }} is healthy: every request gets 503", _GATEWAY_BOARD,
    ),
    Alert(
        "NaruEndpointDown",
        f"max by ({_ENDPOINT}) (naru_endpoint_healthy) == 0\n"
        f"  and max by ({_ENDPOINT}) (max_over_time(naru_endpoint_healthy[15m])) == 1",
        "1m", "warning",
        "{{ $labels.endpoint }} of {{ $labels.model }} was healthy and is no more", _GATEWAY_BOARD,
    ),
    Alert(
        "NaruModelLoadingTooLong", f"max by ({_ENDPOINT}) (naru_endpoint_healthy) == 0", "15m", "warning",
        "{{ $labels.endpoint }} of {{ $labels.model }} has not been ready for 15 minutes", _GATEWAY_BOARD,
        {"what": "endpoint"},
    ),
    Alert(
        "NaruModelLoadingTooLong", f"max by ({_MODEL}) (naru_model_activating) == 1", "15m", "warning",
        "{{ $labels.model }} is wanted and has had no endpoint for 15 minutes", _GATEWAY_BOARD, {"what": "model"},
    ),
    Alert(
        "NaruEndpointEjected", f"sum by ({_ENDPOINT}) (increase(naru_endpoint_ejections_total[15m])) >= 3", "0m",
        "warning",
        "{{ $labels.endpoint }} of {{ $labels.model }} was ejected {{ $value | humanize }} times in 15 minutes: its "
        "health check passes, its answers do not", _GATEWAY_BOARD,
    ),
)  # fmt: skip
_LOAD = (
    Alert(
        "NaruQueueGrowing",
        f"sum by ({_MODEL}) (naru_queue_depth) / on ({_MODEL}) (sum by ({_MODEL}) (naru_queue_limit) > 0) > 0.5",
        "2m", "warning",
        "The queue of {{ $labels.model }} is {{ $value | humanizePercentage }} full; when it is, requests are shed",
        _GATEWAY_BOARD, {"queue": "gateway"},
    ),
    Alert(
        "NaruQueueGrowing",
        f"sum by ({_ENGINE}) (avg_over_time(vllm:num_requests_waiting[5m]))\n"
        f"  / on ({_ENGINE}) (sum by ({_ENGINE}) (avg_over_time(vllm:num_requests_running[5m])) > 0) > 1",
        "5m", "warning",
        "For each request that the engines of {{ $labels.model_name }} compute, {{ $value | humanize }} wait",
        _ENGINE_BOARD, {"queue": "engine"},
    ),
    Alert(
        "NaruKvCacheFull", f"max by ({_ENGINE}, instance) (avg_over_time(vllm:kv_cache_usage_perc[5m])) > 0.95", "5m",
        "warning",
        "The KV cache of {{ $labels.model_name }} at {{ $labels.instance }} is {{ $value | humanizePercentage }} full",
        _ENGINE_BOARD,
    ),
    Alert(
        "NaruPreemptions",
        f"sum by ({_ENGINE}) (rate(vllm:num_preemptions_total[5m]))\n"
        f"  / on ({_ENGINE}) (sum by ({_ENGINE}) (rate(vllm:request_success_total[5m])) > 0) > 0.05",
        "5m", "warning",
        "{{ $labels.model_name }} preempts {{ $value | humanizePercentage }} as many requests as it finishes: they are "
        "computed twice", _ENGINE_BOARD,
    ),
)  # fmt: skip
_GATEWAY = (
    Alert(
        "NaruRedisAway", "naru_limits_backend_up == 0", "1m", "warning",
        "Gateway {{ $labels.instance }} cannot reach Redis: limits are not shared, or not kept at all",
        "gateway",
    ),
    Alert(
        "NaruCertificateExpiring",
        "(naru_certificate_expiry_timestamp_seconds - time()) / 86400 < 14", "5m", "warning",
        "The certificate of the {{ $labels.port }} port ends in {{ $value | humanize }} days",
        "gateway",
    ),
    Alert(
        "NaruConfigRefused", f"min by ({SCOPE}, file) (naru_config_last_reload_successful) == 0", "1m", "warning",
        "The gateway refused the file of the {{ $labels.file }} as it is now, and goes on with what it was",
        "gateway",
    ),
    Alert(
        "NaruDiscoveryAway", "naru_discovery_connected == 0", "5m", "warning",
        "Gateway {{ $labels.instance }} has not heard from the API server: it knows of no new pod, and of none that is "
        "gone", "gateway",
    ),
    Alert(
        "NaruGatewayLoopLag",
        f"histogram_quantile(0.99, sum by (le, {SCOPE}, instance) "
        "(rate(naru_event_loop_lag_seconds_bucket[5m]))) > 0.1",
        "5m", "warning",
        "Gateway {{ $labels.instance }} is late by {{ $value | humanizeDuration }} (p99): so is every token it carries",
        "gateway",
    ),
)  # fmt: skip
_MISSING = (
    Alert(
        "NaruMetricsMissing", "absent(naru_model_info)", "5m", "critical",
        "No gateway reports any metric: nothing else here can fire", "overview", {"what": "gateway"},
    ),
    Alert(
        "NaruMetricsMissing",
        f'group by ({_MODEL}) (naru_model_info{{task=~"chat|embedding"}})\n'
        f"  and on ({_MODEL}) (max by ({_MODEL}) (naru_endpoint_healthy) == 1)\n{_ENGINES_SEEN}",
        "5m", "warning",
        "{{ $labels.model }} answers, but no engine of it reports metrics", "llm?var-model={{ $labels.model }}",
        {"what": "engine"},
    ),
)  # fmt: skip

ALERTS = Group("naru-cause-alerts", (*_ENDPOINTS, *_LOAD, *_GATEWAY, *_MISSING))
