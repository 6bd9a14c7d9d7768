"""For every alert, series that must make it fire and series that must not, in promtool's notation.

`0+6x60`: 61 samples from 0 in steps of 6, a minute apart. `_`: no sample.
"""

from dataclasses import dataclass

Series = dict[str, str]


@dataclass(frozen=True)
class Case:
    alert: str
    at: str
    """When it is looked at."""
    fires: Series
    labels: dict[str, str]
    """The alert's, its name left out."""
    summary: str
    dashboard: str
    silent: Series
    why: str
    """What is different where it is silent."""
    step: str = "1m"
    """Between two evaluations."""
    id: str = ""
    also: tuple[tuple[dict[str, str], str], ...] = ()
    """Labels and summary of the same alert's others that fire with it."""

    @property
    def name(self) -> str:
        return f"{self.alert}{self.id and '-'}{self.id}"


def counted(phases: tuple[tuple[int, float], ...]) -> str:
    """A counter that grows for so many minutes by so much a minute."""
    found, total = [], 0.0
    for index, (minutes, rate) in enumerate(phases):
        first = index == 0
        found.append(f"{total if first else total + rate:g}+{rate:g}x{minutes if first else minutes - 1}")
        total += minutes * rate
    return " ".join(found)


def slo(objective: str, *phases: tuple[int, float], target: float = 0.999, criticality: str = "core") -> Series:
    """A model `m` that judges 100 requests a minute: in each phase, for so many minutes, so many percent failed."""
    counter = f'naru_slo_requests_total{{model="m",objective="{objective}"'
    role = f'task="chat",criticality="{criticality}",trigger="reactive"'
    return {
        f'{counter},met="true"}}': counted(tuple((minutes, 100 - bad) for minutes, bad in phases)),
        f'{counter},met="false"}}': counted(phases),
        f'naru_slo_target_ratio{{model="m",objective="{objective}"}}': f"{target}x9000",
        f'naru_model_info{{model="m",{role}}}': "1x9000",
    }


def burn(objective: str, window: str, severity: str) -> dict[str, str]:
    return {"severity": severity, "window": window, "model": "m", "objective": objective, "criticality": "core"}


DAY = 24 * 60
_BURN = "20m"
"""Between two evaluations, where a case lasts days."""
_M = {"model": "m"}
_OVERVIEW, _GATEWAY, _LLM, _ROLLOUT = (
    f"/d/naru-{board}?var-model=m" for board in ("overview", "gateway", "llm", "rollout")
)
_CHAT = 'naru_model_info{model="m",task="chat",criticality="core",trigger="reactive"}'
_SIDE = 'naru_model_info{model="m",task="chat",criticality="complementary",trigger="reactive"}'
_V1, _V2H = (f'naru_version_healthy_endpoints{{model="m",version="{name}"}}' for name in ("v1", "v2"))
_E1, _E2 = (f'naru_endpoint_healthy{{model="m",endpoint="{name}"}}' for name in ("e1", "e2"))
_AT_E1 = {"model": "m", "endpoint": "e1"}

_FAST = (DAY, 0), (100, 2)
OBJECTIVES = (
    Case(
        "NaruAvailabilityBurn", "1540m", slo("availability", *_FAST), burn("availability", "1h", "critical"),
        "2% of the requests to m were not answered in the last 1h; 0.1% may", _OVERVIEW,
        slo("availability", (DAY, 0), (100, 0.5)), "five times the budget is no reason to wake anyone", _BURN, "1h",
    ),
    Case(
        "NaruAvailabilityBurn", "1540m", slo("availability", *_FAST, criticality="complementary"),
        {**burn("availability", "1h", "warning"), "criticality": "complementary"},
        "2% of the requests to m were not answered in the last 1h; 0.1% may", _OVERVIEW,
        slo("availability", (DAY, 0), (60, 2), (40, 0)), "it is over: the short window is clean", _BURN,
        "complementary",
    ),
    Case(
        "NaruAvailabilityBurn", "4740m", slo("availability", (3 * DAY, 0), (7 * 60, 0.8)),
        burn("availability", "6h", "critical"),
        "0.8% of the requests to m were not answered in the last 6h; 0.1% may", _OVERVIEW,
        slo("availability", (3 * DAY, 0), (7 * 60, 0.005)), "two requests failed in all that time", _BURN, "6h",
    ),
    Case(
        "NaruAvailabilityBurn", "6000m", slo("availability", (3 * DAY, 0), (1680, 0.35)),
        burn("availability", "1d", "warning"),
        "0.35% of the requests to m were not answered in the last 1d; 0.1% may", _OVERVIEW,
        slo("availability", (3 * DAY, 0), (1680, 0.05)), "half the budget", _BURN, "1d",
        ((burn("availability", "3d", "warning"),
          "0.1355% of the requests to m were not answered in the last 3d; 0.1% may"),),
    ),
    Case(
        "NaruAvailabilityBurn", "4800m", slo("availability", (4800, 0.2)), burn("availability", "3d", "warning"),
        "0.2% of the requests to m were not answered in the last 3d; 0.1% may", _OVERVIEW,
        slo("availability", (4400, 0.2), (400, 0)), "it is over since six hours", _BURN, "3d",
    ),
    Case(
        "NaruTtftBurn", "1540m", slo("ttft", (DAY, 0), (100, 85), target=0.95), burn("ttft", "1h", "critical"),
        "85% of the requests to m had a late first token in the last 1h; 5% may", _OVERVIEW,
        slo("ttft", (DAY, 0), (100, 4), target=0.95), "4 % are late, and 5 % may be", _BURN,
    ),
    Case(
        "NaruTtftBurn", "1540m", slo("ttft", (DAY, 0), (100, 90), target=0.9), burn("ttft", "1h", "critical"),
        "90% of the requests to m had a late first token in the last 1h; 10% may", _OVERVIEW,
        slo("ttft", (DAY, 0), (100, 60), target=0.9), "a p90 promise allows a bad hour", _BURN, "p90",
    ),
    Case(
        "NaruTpotBurn", "1540m", slo("tpot", (DAY, 0), (100, 85), target=0.95), burn("tpot", "1h", "critical"),
        "85% of the requests to m had late tokens in the last 1h; 5% may", _OVERVIEW,
        slo("tpot", (DAY, 0), (100, 4), target=0.95), "4 % are late, and 5 % may be", _BURN,
    ),
)  # fmt: skip

ENDPOINTS = (
    Case(
        "NaruNoHealthyEndpoint", "5m", {_CHAT: "1x9", _V1: "1 1 0x9", _V2H: "0x9"},
        {"severity": "critical", **_M, "criticality": "core"},
        "No endpoint of m is healthy: every request gets 503", _GATEWAY,
        {_CHAT: "1x9", _V1: "0x9", _V2H: "2x9"}, "another version has endpoints",
    ),
    Case(
        "NaruNoHealthyEndpoint", "5m", {_SIDE: "1x9", _V1: "0x9"},
        {"severity": "warning", **_M, "criticality": "complementary"},
        "No endpoint of m is healthy: every request gets 503", _GATEWAY,
        {_CHAT: "1x9", _V1: "0x9", 'naru_model_activating{model="m"}': "0x9"}, "it may have none: it is asleep",
        id="complementary",
    ),
    Case(
        "NaruModelLoadingTooLong", "20m", {'naru_model_activating{model="m"}': "0 1x30"},
        {"severity": "warning", "what": "model", **_M},
        "m is wanted and has had no endpoint for 15 minutes", _GATEWAY,
        {'naru_model_activating{model="m"}': "0 1x5 0x30"}, "it woke up", id="activation",
    ),
    Case(
        "NaruEndpointDown", "6m", {_E1: "1 1 1 0x9", _E2: "1x9"}, {"severity": "warning", **_AT_E1},
        "e1 of m was healthy and is no more", _GATEWAY, {_E1: "0x9", _E2: "1x9"}, "it has never been healthy yet",
    ),
    Case(
        "NaruModelLoadingTooLong", "20m", {_E1: "0x30"},
        {"severity": "warning", "what": "endpoint", **_AT_E1}, "e1 of m has not been ready for 15 minutes", _GATEWAY,
        {_E1: "0x12 1x20"}, "it was ready after 13 minutes",
    ),
    Case(
        "NaruEndpointEjected", "15m", {'naru_endpoint_ejections_total{model="m",endpoint="e1"}': "0x3 1 2 3 4x10"},
        {"severity": "warning", **_AT_E1},
        "e1 of m was ejected 4 times in 15 minutes: its health check passes, its answers do not", _GATEWAY,
        {'naru_endpoint_ejections_total{model="m",endpoint="e1"}': "0x3 1x14"}, "once",
    ),
)  # fmt: skip

_DEPTH, _LIMIT = 'naru_queue_depth{model="m",priority="core-reactive"}', 'naru_queue_limit{model="m"}'
_E = 'model_name="m",instance="i:8100",engine="0"'
_WAITING, _RUNNING = f"vllm:num_requests_waiting{{{_E}}}", f"vllm:num_requests_running{{{_E}}}"
_CACHE, _PREEMPTED = f"vllm:kv_cache_usage_perc{{{_E}}}", f"vllm:num_preemptions_total{{{_E}}}"
_FINISHED = f'vllm:request_success_total{{{_E},finished_reason="stop"}}'
_NAMED = {"model_name": "m"}

LOAD = (
    Case(
        "NaruQueueGrowing", "5m", {_DEPTH: "24x9", _LIMIT: "32x9"}, {"severity": "warning", "queue": "gateway", **_M},
        "The queue of m is 75% full; when it is, requests are shed", _GATEWAY,
        {_DEPTH: "24 2 24 3x9", _LIMIT: "32x9"}, "it empties again and again", id="gateway",
    ),
    Case(
        "NaruQueueGrowing", "12m", {_WAITING: "32x12", _RUNNING: "16x12"},
        {"severity": "warning", "queue": "engine", **_NAMED},
        "For each request that the engines of m compute, 2 wait", _LLM,
        {_WAITING: "8x12", _RUNNING: "16x12"}, "fewer wait than run", id="engine",
    ),
    Case(
        "NaruKvCacheFull", "12m", {_CACHE: "0.99x12"}, {"severity": "warning", **_NAMED, "instance": "i:8100"},
        "The KV cache of m at i:8100 is 99% full", _LLM, {_CACHE: "0.9x12"}, "there is room",
    ),
    Case(
        "NaruPreemptions", "12m", {_PREEMPTED: "0+6x12", _FINISHED: "0+60x12"}, {"severity": "warning", **_NAMED},
        "m preempts 10% as many requests as it finishes: they are computed twice", _LLM,
        {_PREEMPTED: "0+1x12", _FINISHED: "0+60x12"}, "one in sixty",
    ),
)  # fmt: skip

_UP = 'naru_limits_backend_up{instance="g:8082"}'
_ENDS = 'naru_certificate_expiry_timestamp_seconds{instance="g:8082",port="grpc"}'
_GOOD = 'naru_config_last_reload_successful{file="registry"}'
_LAG = 'naru_event_loop_lag_seconds_bucket{instance="g:8082",le="%s"}'

GATEWAY = (
    Case(
        "NaruRedisAway", "5m", {_UP: "1 1 0x9"}, {"severity": "warning", "instance": "g:8082"},
        "Gateway g:8082 cannot reach Redis: limits are not shared, or not kept at all", "/d/naru-gateway",
        {_UP: "1 0 1x9"}, "a moment",
    ),
    Case(
        "NaruCertificateExpiring", "10m", {_ENDS: f"{864000 + 600}x20"},
        {"severity": "warning", "instance": "g:8082", "port": "grpc"},
        "The certificate of the grpc port ends in 10 days", "/d/naru-gateway",
        {_ENDS: f"{30 * 86400}x20"}, "30 days are left", id="gateway",
    ),
    Case(
        "NaruConfigRefused", "5m", {_GOOD: "1 1 0x9"}, {"severity": "warning", "file": "registry"},
        "The gateway refused the file of the registry as it is now, and goes on with what it was", "/d/naru-gateway",
        {_GOOD: "1x9"}, "it was taken over",
    ),
    Case(
        "NaruDiscoveryAway", "9m", {'naru_discovery_connected{instance="g:8082",namespace="naru"}': "1 0x9"},
        {"severity": "warning", "instance": "g:8082", "namespace": "naru"},
        "Gateway g:8082 has not heard from the API server: it knows of no new pod, and of none that is gone",
        "/d/naru-gateway", {'naru_discovery_connected{instance="g:8082",namespace="naru"}': "1 0 0 1x9"}, "a moment",
    ),
    Case(
        "NaruGatewayLoopLag", "12m", {_LAG % "0.1": "0+200x12", _LAG % "0.25": "0+240x12", _LAG % "+Inf": "0+240x12"},
        {"severity": "warning", "instance": "g:8082"},
        "Gateway g:8082 is late by 241ms (p99): so is every token it carries", "/d/naru-gateway",
        {_LAG % "0.1": "0+240x12", _LAG % "0.25": "0+240x12", _LAG % "+Inf": "0+240x12"}, "late by less",
    ),
    Case(
        "NaruMetricsMissing", "15m", {_CHAT: "1 1 1 _x20"}, {"severity": "critical", "what": "gateway"},
        "No gateway reports any metric: nothing else here can fire", "/d/naru-overview",
        {_CHAT: "1x20"}, "a gateway reports", id="gateway",
    ),
    Case(
        "NaruMetricsMissing", "12m", {_CHAT: "1x20", _E1: "1x20"}, {"severity": "warning", "what": "engine", **_M},
        "m answers, but no engine of it reports metrics", _LLM,
        {_CHAT: "1x20", _E1: "1x20", _RUNNING: "0x20"}, "its engine reports", id="engine",
    ),
)  # fmt: skip


def versions(canary: Series, requests: str = "0+10x20") -> Series:
    weights = {f'naru_version_weight{{model="m",version="{v}"}}': f"{w}x20" for v, w in (("v1", 0.9), ("v2", 0.1))}
    stable = {'naru_requests_total{model="m",version="v1",outcome="ok"}': "0+90x20"}
    return {**weights, **stable, 'naru_requests_total{model="m",version="v2",outcome="ok"}': requests, **canary}


def histogram(name: str, version: str, label: str, buckets: dict[str, str]) -> Series:
    at = f'gen_ai_request_model="m",version="{version}",{label}'
    return {f'{name}_bucket{{{at},le="{le}"}}': values for le, values in buckets.items()}


def _slow(name: str, label: str, late: str) -> Series:
    """A stable version that is done within 0.1 s, and a canary of which so many a minute need up to 0.5 s."""
    stable = histogram(name, "v1", label, {"0.1": "0+90x20", "0.5": "0+90x20", "+Inf": "0+90x20"})
    early = f"0+{10 - int(late)}x20"
    return versions(stable | histogram(name, "v2", label, {"0.1": early, "0.5": "0+10x20", "+Inf": "0+10x20"}))


_BROKEN = 'naru_requests_total{model="m",version="v2",outcome="truncated"}'
_TTFT = ("gen_ai_server_time_to_first_token_seconds", 'stream="true"')
_DURATION = ("gen_ai_server_request_duration_seconds", 'error_type=""')
_V2 = {"severity": "warning", "model": "m", "version": "v2"}

VERSIONS = (
    Case(
        "NaruCanaryWorse", "15m", versions({_BROKEN: "0+1x20"}, "0+9x20"), {**_V2, "figure": "failed"},
        "Version v2 of m fails 10% of its requests, more than twice as many as the version with the greatest weight",
        _ROLLOUT, versions({_BROKEN: "0 0 0 1x20"}, "0 0 0 1+1x6 7x20"), "one of too few requests", id="failed",
    ),
    Case(
        "NaruCanaryWorse", "15m", _slow(*_TTFT, "5"), {**_V2, "figure": "ttft"},
        "Version v2 of m needs 460ms to the first token (p95), over half as much again as the version with the "
        "greatest weight", _ROLLOUT, _slow(*_TTFT, "0"), "as quick as the other", id="ttft",
    ),
    Case(
        "NaruCanaryWorse", "15m", _slow(*_DURATION, "5"), {**_V2, "figure": "duration"},
        "Version v2 of m needs 460ms for an answer (p95), over half as much again as the version with the greatest "
        "weight", _ROLLOUT, _slow(*_DURATION, "0"), "as quick as the other", id="duration",
    ),
)  # fmt: skip

_GPU = 'gpu="3",UUID="GPU-1",Hostname="node-1"'
_POD = 'namespace="naru",pod="llm-0"'
_MODEL_HERE = 'naru_model_info{namespace="naru",model="m",task="chat",criticality="core",trigger="reactive"}'
_READY, _PHASE = f'kube_pod_status_ready{{{_POD},condition="false"}}', f'kube_pod_status_phase{{{_POD},phase="%s"}}'
_RSS = 'process_resident_memory_bytes{namespace="naru",pod="gw-0",instance="g:8082"}'
_OF_GATEWAY = {
    'naru_event_loop_lag_seconds_count{namespace="naru",pod="gw-0",instance="g:8082"}': "0+1x20",
    'kube_pod_container_resource_limits{namespace="naru",pod="gw-0",container="gateway",resource="memory"}': "1000x20",
}

CLUSTER = (
    Case(
        "NaruGpuErrors", "10m", {f"DCGM_FI_DEV_XID_ERRORS{{{_GPU}}}": "0x4 79x20"},
        {"severity": "warning", "error": "xid", "gpu": "3", "UUID": "GPU-1", "Hostname": "node-1"},
        "GPU 3 of node-1 reports XID error 79", "/d/naru-gpu",
        {f"DCGM_FI_DEV_XID_ERRORS{{{_GPU}}}": "79x20"}, "the error is of long ago", id="xid",
    ),
    Case(
        "NaruGpuErrors", "10m", {f"DCGM_FI_DEV_ROW_REMAP_FAILURE{{{_GPU}}}": "1x20"},
        {"severity": "critical", "error": "memory", "gpu": "3", "UUID": "GPU-1", "Hostname": "node-1"},
        "GPU 3 of node-1 cannot replace faulty memory any more", "/d/naru-gpu",
        {f"DCGM_FI_DEV_ROW_REMAP_FAILURE{{{_GPU}}}": "0x20"}, "it can", id="memory",
    ),
    Case(
        "NaruModelLoadingTooLong", "20m", {_MODEL_HERE: "1x30", _READY: "1x30", _PHASE % "Running": "1x30"},
        {"severity": "warning", "what": "pod", "namespace": "naru", "pod": "llm-0", "condition": "false"},
        "Pod llm-0 has been running for 15 minutes and is not ready", "/d/naru-gpu",
        {_READY: "1x30", _PHASE % "Running": "1x30"}, "a namespace without a gateway is not ours", id="pod",
    ),
    Case(
        "NaruPodsPending", "20m", {_MODEL_HERE: "1x30", _PHASE % "Pending": "1x30"},
        {"severity": "warning", "namespace": "naru"}, "1 pods of naru have had no node for 15 minutes", "/d/naru-gpu",
        {_MODEL_HERE: "1x30", _PHASE % "Pending": "1x10 0x20"}, "it found one",
    ),
    Case(
        "NaruGatewayMemory", "10m", {_RSS: "950x20", **_OF_GATEWAY},
        {"severity": "warning", "namespace": "naru", "pod": "gw-0", "instance": "g:8082"},
        "Gateway gw-0 uses 95% of the memory it may", "/d/naru-gateway",
        {_RSS: "500x20", **_OF_GATEWAY}, "half of it",
    ),
    Case(
        "NaruCertificateExpiring", "10m",
        {'certmanager_certificate_expiration_timestamp_seconds{name="naru-tls"}': f"{864000 + 600}x20"},
        {"severity": "warning", "name": "naru-tls"}, "The certificate naru-tls ends in 10 days", "/d/naru-gateway",
        {'certmanager_certificate_expiration_timestamp_seconds{name="other"}': f"{864000 + 600}x20"}, "not ours",
        id="cert-manager",
    ),
)  # fmt: skip

CASES = (*OBJECTIVES, *ENDPOINTS, *LOAD, *GATEWAY, *VERSIONS, *CLUSTER)
