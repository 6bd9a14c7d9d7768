"""Every alert fires when it must and stays silent when it must: `promtool test rules`, and a runbook for each."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.observability.generate import TARGET
from services.observability.rules import files
from services.observability.rules.rule import Alert
from tests.observability.cases import CASES, Case, Series
from tests.support.prometheus import PROMTOOL, needs_prometheus

RULES = {name: TARGET / "rules" / f"{name}.yaml" for name in files()}
OBJECTIVES = "objectives"
"""What several alerts of other files build upon."""
ALERTS = [rule for groups in files().values() for group in groups for rule in group.rules if isinstance(rule, Alert)]
ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"


def promtool(*arguments: str) -> str:
    """Its output; fails the test where it fails."""
    assert PROMTOOL is not None
    ran = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def expected(case: Case) -> list[dict[str, Any]]:
    found = []
    for labels, summary in ((case.labels, case.summary), *case.also):
        annotations = {
            "summary": summary, "dashboard_url": case.dashboard, "runbook_url": f"docs/runbooks/{case.alert}.md",
        }  # fmt: skip
        found.append({"exp_labels": labels, "exp_annotations": annotations})
    return found


def trial(case: Case, series: Series, alerts: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [{"eval_time": case.at, "alertname": case.alert, "exp_alerts": alerts}],
    }


def in_order(*names: str) -> str:
    """The rules of these files as one group: promtool computes groups in any order, and seldom where a case is long."""
    groups = [group for name in dict.fromkeys(names) for group in yaml.safe_load(RULES[name].read_text())["groups"]]
    return yaml.safe_dump({"groups": [{"name": "all", "rules": [rule for group in groups for rule in group["rules"]]}]})


@needs_prometheus
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fires_and_stays_silent(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "test.yaml"
    trials = [trial(case, case.fires, expected(case)), trial(case, case.silent, [])]
    own = [name for name, groups in files().items() for group in groups for rule in group.rules
           if isinstance(rule, Alert) and rule.name == case.alert]  # fmt: skip
    (tmp_path / "rules.yaml").write_text(in_order(OBJECTIVES, *own), encoding="utf-8")
    unit = {"rule_files": ["rules.yaml"], "evaluation_interval": case.step, "tests": trials}
    path.write_text(yaml.safe_dump(unit), encoding="utf-8")
    promtool("test", "rules", str(path))


@needs_prometheus
def test_prometheus_takes_the_rules() -> None:
    promtool("check", "rules", *map(str, RULES.values()))


@needs_prometheus
def test_the_documents_configuration_is_one(tmp_path: Path) -> None:
    found = re.search(r"```yaml\n(global:.*?)```", (ROOT / "docs" / "observability.md").read_text("utf-8"), re.DOTALL)
    assert found is not None
    (tmp_path / "charts").symlink_to(ROOT / "charts")
    (tmp_path / "prometheus.yaml").write_text(found[1], encoding="utf-8")
    said = promtool("check", "config", str(tmp_path / "prometheus.yaml"))
    assert f"{len(RULES)} rule files found" in said


def test_every_alert_is_tried() -> None:
    told = ("queue", "what", "figure", "error")
    distinct = {(alert.name, *alert.labels.items()) for alert in ALERTS if "window" not in alert.labels}
    tried = {(case.alert, *((name, case.labels[name]) for name in told if name in case.labels)) for case in CASES}
    assert {name for name, *_ in tried} == {alert.name for alert in ALERTS}
    assert distinct <= tried


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_says_what_is_wrong_and_what_to_do(alert: Alert) -> None:
    assert alert.severity in ("critical", "warning") or "criticality" in alert.severity
    assert (TARGET / "dashboards" / f"naru-{alert.dashboard.partition('?')[0]}.json").exists()
    runbook = (RUNBOOKS / f"{alert.name}.md").read_text(encoding="utf-8")
    assert re.findall(r"^#+ .+$", runbook, re.MULTILINE) == [f"# {alert.name}", "## Symptom", "## Check", "## Remedy"]


def test_every_runbook_is_an_alerts() -> None:
    names = {path.stem for path in RUNBOOKS.glob("*.md") if path.stem != "README"}
    assert names == {alert.name for alert in ALERTS}
