"""Samples of a running gateway's `/metrics` page."""

import httpx

from services.local.top.samples import Samples, parse

__all__ = ["Samples", "parse", "scrape"]


def scrape(admin: str) -> Samples:
    """`admin` is an admin port's address, `http://host:port`."""
    return parse(httpx.get(f"{admin}/metrics", timeout=10).raise_for_status().text)
