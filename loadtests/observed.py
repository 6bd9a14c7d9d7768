"""The gateway, with a window for load tests: at SIGUSR1 it prints how many tasks its event loop has.

python -m loadtests.observed
"""

import asyncio
import signal
from types import FrameType

from services.gateway.__main__ import main


def print_tasks(_: int, __: FrameType | None) -> None:
    print(len(asyncio.all_tasks()), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, print_tasks)
    main()
