"""Gateways as they are measured: every policy configured, with limits so wide that nothing is ever refused, and the hot
path compiled, as in the image, or not."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from services.gateway.compiled import VARIABLE
from services.gateway.compiled.__main__ import DEFAULT, build

PLENTY = 10**9
LIMITS = {
    "requests_per_minute": PLENTY,
    "tokens_per_minute": PLENTY,
    "tokens_per_day": PLENTY,
    "concurrent_streams": PLENTY,
}
"""Of a key and of its tenant."""
POLICIES: dict[str, Any] = {
    "admission": {"concurrency": 10_000}, "price": {"input": 0.15, "output": 0.6, "currency": "USD"},
    "cache": {"ttl": "60s"},
}  # fmt: skip
"""Of a model. No request of the load may be kept: what is measured is the cost of looking."""

INTERPRETED = {VARIABLE: ""}
"""Variables of a gateway that is all bytecode."""


def compiled() -> dict[str, str]:
    """Variables of a gateway whose hot path is compiled, as its image's is; it is compiled now, if it was not before.

    Raises SystemExit.
    """
    build(DEFAULT)
    return {VARIABLE: str(DEFAULT)}


def key_file(path: Path, secrets: Mapping[str, Mapping[str, int]]) -> Path:
    """A file of these keys, each of a tenant of its own, with the key's limits and the same for the tenant."""
    keys = [
        {"name": f"k{at}", "tenant": f"t{at}", "sha256": hashlib.sha256(secret.encode()).hexdigest(), **limits}
        for at, (secret, limits) in enumerate(secrets.items())
    ]
    tenants = {key["tenant"]: dict(limits) for key, limits in zip(keys, secrets.values(), strict=True)}
    path.write_text(yaml.safe_dump({"keys": keys, "tenants": tenants}), encoding="utf-8")
    return path
