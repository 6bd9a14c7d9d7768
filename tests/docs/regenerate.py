"""Write the generated tables of the docs again: `python -m tests.docs.regenerate [--check]`."""

import argparse
import sys

from tests.docs.tables import REFERENCE, ROOT, regenerated


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.docs.regenerate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail where a table is out of date")
    check = parser.parse_args().check
    text = REFERENCE.read_text(encoding="utf-8")
    wanted = regenerated(text)
    name = REFERENCE.relative_to(ROOT)
    if text == wanted:
        print(f"{name} is up to date")
    elif check:
        sys.exit(f"{name} is out of date: run python -m tests.docs.regenerate")
    else:
        REFERENCE.write_text(wanted, encoding="utf-8")
        print(f"{name} written")


if __name__ == "__main__":
    main()
