"""Write the dashboards and rules that the chart carries: `python -m services.observability.generate [--check]`."""

import argparse
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from services.observability.dashboards import dashboards
from services.observability.rules import files
from services.observability.rules.rule import dump

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "charts" / "naru" / "files"
FIRST_LINE = "# Made by python -m services.observability.generate; change it there.\n"


def generated() -> dict[Path, str]:
    """Every file's text, by its path below the chart's `files`."""
    encoder = JSONEncoder(indent=2, sort_keys=True, ensure_ascii=False)
    boards = {board.uid: encoder.encode(board) + "\n" for board in dashboards()}
    rules = {name: FIRST_LINE + dump(groups) for name, groups in files().items()}
    return {
        **{Path("dashboards", f"{uid}.json"): text for uid, text in boards.items()},
        **{Path("rules", f"{name}.yaml"): text for name, text in rules.items()},
    }


def committed() -> dict[Path, str]:
    found = (path for folder in ("dashboards", "rules") for path in (TARGET / folder).glob("*.*"))
    return {path.relative_to(TARGET): path.read_text(encoding="utf-8") for path in found}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m services.observability.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail where a file is out of date")
    check = parser.parse_args().check
    old, new = committed(), generated()
    stale = sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
    if check and stale:
        sys.exit(f"{', '.join(map(str, stale))}: out of date; run python -m services.observability.generate")
    for path in stale:
        if path in new:
            (TARGET / path).parent.mkdir(parents=True, exist_ok=True)
            (TARGET / path).write_text(new[path], encoding="utf-8")
        else:
            (TARGET / path).unlink()
    sys.stdout.write(f"{len(stale)} files written\n" if stale else "dashboards and rules are up to date\n")


if __name__ == "__main__":
    main()
