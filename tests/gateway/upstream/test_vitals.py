"""What is read of a vLLM engine's metrics."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.upstream.vitals import Vitals, read_vitals

# Lines of vLLM 0.32's own page.
PAGE = b"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 4.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="m"} 3.0
# HELP vllm:num_requests_waiting_by_reason Number of waiting requests by reason.
# TYPE vllm:num_requests_waiting_by_reason gauge
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"} 3.0
# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
"""
LORA = b'vllm:lora_requests_info{max_lora="4",running_lora_adapters="%b",waiting_lora_adapters="%b"} %d\n'


def test_queue_and_cache() -> None:
    assert read_vitals(PAGE) == Vitals(3, 0.25)


def test_several_ranks() -> None:
    second = b'vllm:num_requests_waiting{engine="1"} 4.0\nvllm:kv_cache_usage_perc{engine="1"} 0.75\n'
    assert read_vitals(PAGE + second) == Vitals(7, 0.75)


def test_the_newest_word_on_adapters_counts() -> None:
    page = PAGE + LORA % (b"old,older", b"", 1000) + LORA % (b"a,b", b"c", 3000) + LORA % (b"", b"old", 2000)
    found = read_vitals(page)
    assert found is not None
    assert found.adapters == {"a", "b", "c"}


@pytest.mark.parametrize("page", [b"", b"not metrics", b"process_cpu_seconds_total 1.0\n", b"\x00\xff\n" * 100])
def test_another_page_says_nothing(page: bytes) -> None:
    assert read_vitals(page) is None


@pytest.mark.parametrize("value", [b"NaN", b"+Inf", b"-1", b"many", b""])
def test_a_value_that_makes_no_sense_says_nothing(value: bytes) -> None:
    assert read_vitals(PAGE.replace(b"} 3.0", b"} " + value)) is None


@given(st.binary(max_size=200), st.integers(0, len(PAGE)))
def test_a_broken_page_breaks_nothing(junk: bytes, at: int) -> None:
    found = read_vitals(PAGE[:at] + junk + PAGE[at:])
    assert found is None or (found.waiting >= 0 and 0 <= found.kv_cache <= 1)
