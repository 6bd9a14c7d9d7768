"""Load on a gateway, with locust.

    locust -f loadtests/load/locustfile.py --host http://127.0.0.1:8080 --key KEY --headless --load ramp -u 20 -t 2m

Without `--headless` it is locust's web interface. `python -m loadtests.load` fills in what the stack on this machine
has. docs/loadtests.md says what is measured.
"""

import gc
import sys
from typing import Any

import gevent
import locust.stats
from locust import LoadTestShape, events
from locust.env import Environment

from loadtests.load import options
from loadtests.load.bench import Bench
from loadtests.load.grpc_users import GrpcChatUser
from loadtests.load.outcome import conclude
from loadtests.load.prompts import PromptError
from loadtests.load.target import BenchError
from loadtests.load.users import ChatUser, ModelUser, RecommendationUser, SentimentUser
from services.gateway.registry import RegistryError

__all__ = ["ChatUser", "GrpcChatUser", "Load", "RecommendationUser", "SentimentUser"]


def three_digits(milliseconds: float) -> float:
    """locust's own two are too few for a gap between tokens; it names this function as the one to replace."""
    return float(f"{milliseconds:.3g}")


USERS: list[type[ModelUser]] = [ChatUser, SentimentUser, RecommendationUser, GrpcChatUser]
locust.stats.bucket_response_time = three_digits  # type: ignore[assignment] # keys that are no whole numbers
locust.stats.PERCENTILES_TO_CHART = [0.5, 0.95, 0.99]


def begin(environment: Environment, **_: Any) -> None:
    """A kind of user whose model the gateway does not have is left out; gRPC, unless it is asked for by name."""
    told = environment.parsed_options
    assert told is not None
    if told.master or told.worker or told.processes:
        sys.exit("load: figures are of one process: start several generators, each with an --out of its own")
    try:
        bench = ModelUser.bench = Bench(environment)
    except (BenchError, RegistryError, PromptError) as error:
        sys.exit(f"load: {error}")
    environment.user_classes = [
        kind for kind in USERS
        if kind in environment.user_classes and kind.kind in bench.models
        and (kind is not GrpcChatUser or kind.__name__ in told.user_classes)
    ]  # fmt: skip
    if not environment.user_classes:
        sys.exit("load: the gateway has no model for any of these users")


def start(**_: Any) -> None:
    """What was imported lives as long as the process, and answers are no cycles: there is little to collect."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    ModelUser.bench.watching = gevent.spawn(ModelUser.bench.watch)


def end(environment: Environment, **_: Any) -> None:
    environment.process_exit_code = conclude(ModelUser.bench)
    gevent.sleep(locust.stats.CSV_STATS_INTERVAL_SEC + 0.2)  # else its files miss what came last


for hook, listener in (
    (events.init_command_line_parser, options.add), (events.init, begin), (events.test_start, start),
    (events.quitting, end),
):  # fmt: skip
    hook.add_listener(listener)  # type: ignore[no-untyped-call]


class Load(LoadTestShape):
    """As `--load` says."""

    use_common_options = True

    def tick(self) -> tuple[int, float] | None:
        users = ModelUser.bench.users(self.get_run_time())  # type: ignore[no-untyped-call]
        return None if users is None else (users, float(max(users, 1)))
