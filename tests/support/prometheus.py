"""A real Prometheus on a free port."""

import shutil

import pytest

BINARY, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
needs_prometheus = pytest.mark.skipif(
    BINARY is None or PROMTOOL is None, reason="there is no prometheus: apt-get install prometheus"
)
