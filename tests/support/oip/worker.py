"""Runs functions of one module for a test in another process: a line of JSON in, a line of JSON out.

Standard library only: the environment it runs in is the client's.
"""

import importlib
import json
import os
import sys
import traceback


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a client prints must not stand between the answers
    module = importlib.import_module(sys.argv[1])
    for line in sys.stdin:
        function, arguments = json.loads(line)
        try:
            answer = {"returned": getattr(module, function)(**arguments)}
        except Exception:  # noqa: BLE001 - the test that asked is told
            answer = {"raised": traceback.format_exc()}
        out.write(json.dumps(answer) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
