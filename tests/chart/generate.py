"""Make charts/naru/values.schema.json from values.yaml again: `python -m tests.chart.generate [--check]`."""

import argparse
import json
import sys

from tests.chart.schema import schema
from tests.chart.values import CHART

SCHEMA = CHART / "values.schema.json"


def text() -> str:
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chart.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail where the schema is out of date")
    check = parser.parse_args().check
    made = text()
    stale = not SCHEMA.exists() or SCHEMA.read_text(encoding="utf-8") != made
    if check and stale:
        sys.exit("values.schema.json: out of date; run python -m tests.chart.generate")
    if stale:
        SCHEMA.write_text(made, encoding="utf-8")
    print("values.schema.json: written" if stale else "the chart's schema is up to date")


if __name__ == "__main__":
    main()
