"""Make the docs' generated pieces and the chart's schema again: `python -m tests.docs.regenerate [--check]`."""

import argparse
import sys

from tests.chart.schema import SCHEMA, text
from tests.docs.tables import GENERATED, ROOT, regenerated


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.docs.regenerate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail where a document is out of date")
    check = parser.parse_args().check
    old = {path: path.read_text(encoding="utf-8") for path in (*GENERATED, SCHEMA)}
    new = {path: regenerated(old[path]) for path in GENERATED} | {SCHEMA: text()}
    stale = [path for path in old if old[path] != new[path]]
    names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
    if check and stale:
        sys.exit(f"{names}: out of date; run python -m tests.docs.regenerate")
    for path in stale:
        path.write_text(new[path], encoding="utf-8")
    print(f"{names}: written" if stale else "the docs are up to date")


if __name__ == "__main__":
    main()
