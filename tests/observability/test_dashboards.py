"""Every panel is whole: a unit, a description, rates over a window; and every dashboard leads to the others."""

import re
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.gateway.metrics import TPOT_BUCKETS, TTFT_BUCKETS
from services.gateway.registry import Registry
from services.local.plan import addresses, registry
from services.observability.generate import committed, generated
from tests.observability.boards import PANELS, Panel, boards

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"
NAMES = {"overview", "llm", "tasks", "gateway", "gpu", "tenants", "rollout"}
COUNTERS = re.compile(r"\b[\w:]+_(?:total|sum|count|bucket)\b(?P<matchers>\{[^{}]*\})?(?P<window>\[)?")


def by_title(panel: Panel) -> str:
    return panel.id


def test_what_is_committed_is_what_the_code_makes() -> None:
    assert committed() == generated(), "run python -m services.observability.generate"


def test_the_seven_dashboards() -> None:
    assert {board["uid"] for board in boards().values()} == {f"naru-{name}" for name in NAMES}
    assert all(name == board["uid"] for name, board in boards().items())


@pytest.mark.parametrize("panel", PANELS, ids=by_title)
def test_a_panel_says_what_it_shows(panel: Panel) -> None:
    assert panel.data["fieldConfig"]["defaults"]["unit"]
    assert panel.data["description"].endswith(".")
    assert panel.queries


@pytest.mark.parametrize("panel", PANELS, ids=by_title)
def test_nothing_is_averaged_over_a_lifetime(panel: Panel) -> None:
    """Every counter stands in a window; whether it is there at all (`and on (…) x_count`) needs none."""
    for query in panel.queries:
        bare = re.sub(r"and on \([\w, ]+\) \w+(\{[^{}]*\})?", "", re.sub(r" by \([\w, ]+\)", "", query))
        for found in COUNTERS.finditer(bare):
            assert found["window"], f"{found[0]} is not in a window"


@pytest.mark.parametrize("panel", PANELS, ids=by_title)
def test_a_latency_leads_to_traces(panel: Panel) -> None:
    of_gateway = re.compile(r"histogram_quantile\(.*(gen_ai_server|naru_)\w+_seconds_bucket")
    if panel.data["type"] == "timeseries" and "0.99" in "".join(panel.queries):
        for target in panel.data["targets"]:
            assert target["exemplar"] == bool(of_gateway.search(target["expr"])) or "mirrored" in target["expr"]


def test_every_gateway_metric_that_is_shown_exists() -> None:
    known = {"naru_model_quality", *re.findall(r"^\| `(\w+)` \|", REFERENCE.read_text("utf-8"), re.MULTILINE)}
    for panel in PANELS:
        for query in panel.queries:
            for name in re.findall(r"\b((?:naru|gen_ai)_\w+)(?=[{\[])", query):
                assert re.sub(r"_(bucket|sum|count)$", "", name) in known, f"{panel.id}: {name}"


@pytest.mark.parametrize("board", boards().values(), ids=lambda board: str(board["uid"]))
def test_a_dashboard_has_its_frame(board: dict[str, Any]) -> None:
    names = [variable["name"] for variable in board["templating"]["list"]]
    assert names[:2] == ["datasource", "namespace"]
    used = set(re.findall(r"\$\{?([a-z_]\w*)", str(board))) - {"__rate_interval", "__range", "__data", "__all"}
    assert used <= set(names)
    assert board["links"][0] == {**board["links"][0], "type": "dashboards", "tags": ["naru"], "includeVars": True}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    lines = [panel["gridPos"] for panel in board["panels"] if panel["type"] != "row"]
    for _, places in groupby(sorted(lines, key=lambda place: place["y"]), key=lambda place: place["y"]):
        assert sum(place["w"] for place in places) == 24


def test_the_promises_that_ship_stand_at_buckets() -> None:
    """Then a quantile at the promise is exact."""
    example = re.search(r"```yaml\n(models:.*?)```", REFERENCE.read_text("utf-8"), re.DOTALL)
    assert example is not None
    for data in (yaml.safe_load(example[1]), registry(addresses(), ("gateway",))):
        for model in Registry.model_validate(data).models.values():
            assert model.slo.ttft is None or model.slo.ttft in TTFT_BUCKETS
            assert model.slo.tpot is None or model.slo.tpot in TPOT_BUCKETS
