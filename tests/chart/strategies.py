"""Random values of the chart that are right, for hypothesis."""

from typing import Any

from hypothesis import strategies as st

Values = st.SearchStrategy[dict[str, Any]]

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._/:-]{0,60}", fullmatch=True)
WORDS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]))
DURATIONS = st.floats(0.001, 10_000) | st.builds("{}{}".format, st.integers(1, 900), st.sampled_from(["ms", "s", "m"]))
UNITS = st.sampled_from(["m", "Mi", "Gi"])
QUANTITIES = st.integers(1, 64) | st.builds("{}{}".format, st.integers(1, 999), UNITS)
LABELS = st.dictionaries(st.builds("example.com/{}".format, WORDS), WORDS, max_size=3)
SECRET = st.fixed_dictionaries({"secret": WORDS, "key": WORDS})
BIG = st.integers(1, 10**8)


def some(**fields: st.SearchStrategy[Any]) -> Values:
    """A mapping that has any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


def _fixed(**fields: Any) -> Values:
    found = {name: value if isinstance(value, st.SearchStrategy) else st.just(value) for name, value in fields.items()}
    return st.fixed_dictionaries(found)


def weights(count: int) -> st.SearchStrategy[list[int]]:
    """So many weights that add up to 100."""
    cuts = st.lists(st.integers(1, 99), min_size=count - 1, max_size=count - 1, unique=True).map(sorted)
    return cuts.map(lambda cut: [end - start for start, end in zip([0, *cut], [*cut, 100], strict=True)])


_ROLE = some(criticality=st.sampled_from(["core", "complementary"]), trigger=st.sampled_from(["reactive", "proactive"]))

REGISTRY = some(
    role=_ROLE,
    slo=some(ttft=DURATIONS, tpot=DURATIONS, availability=st.floats(1, 100), percentile=st.floats(1, 99)),
    timeouts=some(connect=DURATIONS, first_token=DURATIONS, idle=DURATIONS, total=DURATIONS),
    admission=st.fixed_dictionaries({"concurrency": BIG}, optional={"queue": BIG, "patience": DURATIONS})
    | st.fixed_dictionaries({"per_endpoint": BIG}),
    cache=some(bytes=st.integers(1024, 2**40) | st.just("64MiB"), ttl=DURATIONS, shared=st.booleans()),
    price=st.fixed_dictionaries({"request": st.floats(0.0001, 10)}, optional={"currency": st.just("EUR")}),
    routing=some(spread=st.floats(1, 10), prefix_blocks=BIG),
)  # fmt: skip
"""Fields of a model that are the registry's."""

SERVING = some(
    replicas=st.integers(0, 5),
    containerPort=st.integers(1024, 65535),
    resources=st.fixed_dictionaries(
        {"limits": _fixed(memory=st.builds("{}Ti".format, st.integers(1, 9)))},
        optional={"requests": some(cpu=QUANTITIES, memory=QUANTITIES)},
    ),
    sharedMemory=st.sampled_from(["", "1Gi"]),
    loading=st.fixed_dictionaries({"usual": st.integers(1, 800), "deadline": st.integers(801, 7200)}),
    preStop=st.integers(1, 600),
    drainTimeout=st.integers(0, 3600),
    env=st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_]{0,20}", fullmatch=True), TEXT | SECRET, max_size=3),
    podAnnotations=st.dictionaries(st.builds("example.com/{}".format, WORDS), TEXT, max_size=2),
    priorityClassName=st.just("") | WORDS,
    trafficDistribution=st.sampled_from(["", "PreferSameZone"]),
    podDisruptionBudget=some(enabled=st.booleans()),
)  # fmt: skip
"""Fields of a model that are the chart's, whatever runs it."""

_GPU = some(adapters=st.dictionaries(st.builds("lora-{}".format, WORDS), st.just("hf:a/l"), max_size=1))
_ENGINE = some(max_model_len=st.integers(16, 10**7), dtype=st.just("bfloat16"), eager=st.booleans())
_OUTSIDE: list[dict[str, Any]] = [
    {"endpoints": ["http://h:8000"]}, {"service": "s"}, {"service": "s", "port": 80, "namespace": "n"},
]  # fmt: skip


KINDS: dict[str, Values] = {
    "cpu": _fixed(runtime="vllm", source=st.sampled_from(["packaged:smollm2-135m-instruct", "hf:a/b"])),
    "gpu": _fixed(
        runtime="vllm", source=st.sampled_from(["hf:a/b", "hf:a/b@c", "s3://b/x"]), nodePool="gpu",
        gpus=st.integers(1, 8), engine=_ENGINE,
    ),
    "nodes": _fixed(
        runtime="vllm", source="hf:a/b", nodePool="gpu", gpus=8, nodes=st.integers(2, 4),
        storage={"type": "pvc", "accessMode": "ReadWriteMany"},
    ),
    "bento": _fixed(runtime="bentoml", bento=st.sampled_from(["sentiment", "recommendation"])),
    "own": _fixed(
        runtime="bentoml", image={"repository": "r/own", "tag": "1.0"}, prepare=st.sampled_from([[], ["fetch", "it"]])
    ),
    "external": _fixed(runtime="external"),
}  # fmt: skip
"""What belongs to each kind of engine."""


@st.composite
def autoscaling(draw: st.DrawFn, vllm: bool) -> dict[str, Any]:
    signal = st.none() | st.floats(0.01, 1) | st.just(1)
    least = draw(st.integers(0, 4))
    return {
        "kind": "keda", "min": least, "max": draw(st.integers(max(1, least), 50)), "idle": draw(st.integers(801, 9000)),
        "signals": draw(some(queued=signal, waiting=signal, kvCache=signal)) if vllm else {},
        "scaleDown": draw(some(stabilization=st.integers(0, 3600))),
    }  # fmt: skip


@st.composite
def models(draw: st.DrawFn) -> dict[str, Any]:
    """An entry of `models:`."""
    kind = draw(st.sampled_from(list(KINDS)))
    entry = draw(REGISTRY) | draw(KINDS[kind])
    vllm = entry["runtime"] == "vllm"
    entry["task"] = draw(st.sampled_from(["chat", "embedding"] if vllm else ["sentiment", "recommendation"]))
    labels = draw(st.lists(WORDS, min_size=1, max_size=3, unique=True))
    shares = draw(weights(len(labels)))
    entry["versions"] = {label: {"weight": share} for label, share in zip(labels, shares, strict=True)}
    if kind == "external":
        for version in entry["versions"].values():
            version.update(draw(st.sampled_from(_OUTSIDE)))
        return entry
    if kind in {"gpu", "nodes"}:
        entry |= draw(_GPU)
    entry |= draw(SERVING)
    if draw(st.booleans()):
        entry["autoscaling"] = draw(autoscaling(vllm))
    return entry


_POOL = some(
    karpenter=st.fixed_dictionaries({"enabled": st.booleans(), "requirements": st.just({"example.com/gpus": ["1"]})}),
    spareGpus=st.integers(0, 64), nodeSelector=LABELS, runtimeClassName=st.sampled_from(["", "nvidia"]),
    dra=some(enabled=st.booleans()), tolerations=st.just({"g": {"operator": "Exists"}}),
)  # fmt: skip
_GATEWAY = some(
    replicas=st.integers(1, 9), preStop=st.integers(1, 600), drainTimeout=st.integers(0, 3600), nodeSelector=LABELS,
    settings=some(upstream=some(max_answer=BIG, retries=st.integers(0, 5)), log_level=st.just("DEBUG")),
    autoscaling=_fixed(enabled=st.booleans(), min=st.integers(1, 3), max=st.integers(3, 9)),
)  # fmt: skip

VALUES = st.fixed_dictionaries(
    {
        "models": st.dictionaries(NAMES, models(), min_size=1, max_size=3),
        "nodePools": st.fixed_dictionaries({"gpu": _POOL}),
        "prometheus": st.just({"address": "http://prometheus:9090"}),
    },
    optional={
        "gateway": _GATEWAY,
        "keys": st.sampled_from([{}, {"existingSecret": "k"}, {"developmentSecret": "d"}]),
        "redis": st.sampled_from([{}, {"existingSecret": "r"}]),
        "monitoring": some(monitors=st.booleans(), rules=st.booleans(), dashboards=st.booleans(), labels=LABELS),
        "networkPolicy": some(enabled=st.booleans()),
        "security": some(user=st.none() | st.integers(1, 2**31 - 1), group=st.none()),
        "ingress": _fixed(enabled=st.booleans(), host="h.example.com"),
    },
)
"""Values of a whole release: right, but for names whose objects collide."""
