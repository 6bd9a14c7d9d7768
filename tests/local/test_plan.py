"""The registry that `naru up` writes."""

import pytest

from services.gateway.registry import Registry
from services.local.plan import addresses, registry


def test_the_language_model_runs_as_many_requests_as_its_engine_computes_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NARU_LLM__MAX_NUM_SEQS", "4")
    monkeypatch.setenv("NARU_LLM__MAX_REQUESTS", "20")
    found = addresses()
    made = Registry.model_validate(registry(found, ["gateway", "llm", "sentiment"]))
    limits = made.models[found.llm.llm.served_name].admission
    assert limits is not None
    assert (limits.per_endpoint, limits.queue, limits.patience) == (4, 16, 60.0)
    assert made.models["sentiment"].admission is None  # its own batches bound it
