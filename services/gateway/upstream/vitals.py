"""What a vLLM engine's `/metrics` page says of its load; of a page of hundreds of lines only a few are read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_VALUE = re.compile(rb"(?P<labels>\{.*\})? (?P<value>\S+)")
_ADAPTERS = re.compile(rb'(?:running|waiting)_lora_adapters="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Vitals:
    waiting: int
    """Requests that wait inside the engine."""
    kv_cache: float
    """Used share of the KV cache, 0 to 1."""
    adapters: frozenset[str] = frozenset()
    """LoRA adapters that its requests use now."""


def read_vitals(page: bytes) -> Vitals | None:
    """None where the page is not vLLM's. Names as vLLM 0.32 has them (`vllm/v1/metrics/loggers.py`).

    An engine of several ranks has a line for each: those that wait add up, the fullest cache counts.
    """
    waiting = [value for _, value in _samples(page, b"vllm:num_requests_waiting")]
    caches = [value for _, value in _samples(page, b"vllm:kv_cache_usage_perc")]
    if not waiting or not caches:
        return None
    # Every change of the set of adapters makes a new line, whose value is the time it was written.
    newest, _ = max(_samples(page, b"vllm:lora_requests_info"), key=lambda sample: sample[1], default=(b"", 0.0))
    adapters = {name for names in _ADAPTERS.findall(newest) for name in names.decode().split(",")}
    return Vitals(int(sum(waiting)), min(1.0, max(0.0, *caches)), frozenset(adapters - {""}))


def _samples(page: bytes, name: bytes) -> Iterator[tuple[bytes, float]]:
    """Labels and value of every line of one metric. A line that is not as it should be is passed over."""
    start = 0
    while (start := page.find(b"\n" + name, start)) >= 0:
        start += 1 + len(name)
        end = page.find(b"\n", start)
        found = _VALUE.fullmatch(page, start, len(page) if end < 0 else end)
        value = _number(found["value"]) if found else None
        if found and value is not None:
            yield found["labels"] or b"", value


def _number(text: bytes) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None
