"""Render the chart with values, and hold every object against the API's schemas: `python -m tests.chart.check [FILE…]`.

Several files are laid over each other, as `helm -f` does. Without one: every preset, every file of `ci/`.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import helm_python
import yaml

from tests.chart.api import MINORS, faults
from tests.chart.rendering import FILES, Refused, merged, render, values
from tests.chart.values import CHART


def found(given: dict[str, Any]) -> list[str]:
    """What is wrong with these values, in Helm's and the API's words."""
    report = helm_python.lint(CHART, given, strict=True)
    complaints = [f"{each['path']}: {each['error']}" for each in report["messages"] if each["severity"] > 1]
    try:
        return [*complaints, *(fault for each in render(given) for fault in faults(each))]
    except Refused as refused:
        return [*complaints, str(refused)]


def main() -> int:
    helm_python.disable_logging()  # linting logs what rendering then raises
    parser = argparse.ArgumentParser(prog="python -m tests.chart.check", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="values, the last one on top")
    files = parser.parse_args().files
    cases = {", ".join(map(str, files)): _together(files)} if files else {file.name: values(file) for file in FILES}
    wrong = {name: said for name, given in cases.items() if (said := found(given))}
    for name, said in wrong.items():
        print(f"{name}:", *said, sep="\n  ")
    if not wrong:
        print(f"the chart renders {len(cases)} times what Kubernetes {', '.join(MINORS)} takes")
    return 1 if wrong else 0


def _together(files: list[Path]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for file in files:
        result = merged(result, yaml.safe_load(file.read_text(encoding="utf-8")) or {})
    return result


if __name__ == "__main__":
    sys.exit(main())
