"""The dashboards, each a function that builds it."""

from collections.abc import Iterator

from grafana_foundation_sdk.models.dashboard import Dashboard

from services.observability.dashboards.gateway import gateway
from services.observability.dashboards.gpu import gpu
from services.observability.dashboards.llm import llm
from services.observability.dashboards.overview import overview
from services.observability.dashboards.rollout import rollout
from services.observability.dashboards.tasks import tasks
from services.observability.dashboards.tenants import tenants


def dashboards() -> Iterator[Dashboard]:
    for build in (overview, llm, tasks, gateway, gpu, tenants, rollout):
        yield build()
