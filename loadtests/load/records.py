"""What was measured, by model and second; and as statistics of locust's own."""

import time
from collections.abc import Mapping

from locust.stats import RequestStats, StatsEntry, bucket_response_time

from loadtests.load.answer import Reply
from loadtests.load.histogram import Histogram
from loadtests.load.totals import Totals, summed
from services.gateway.registry import Slo

FELT = ("TTFT", "TPOT", "ITL")
"""The kinds that are rows of their own; whole answers locust has already: they are its requests."""


class Records:
    """Takes replies; `flush`, once a second, hands what came since to `locust` and keeps it by model."""

    def __init__(self, slos: Mapping[str, Slo], stats: RequestStats) -> None:
        self.totals: dict[str, Totals] = {}
        self._slos, self._stats = slos, stats
        self._waiting: dict[str, list[Reply]] = {}

    def take(self, model: str, reply: Reply) -> None:
        self._waiting.setdefault(model, []).append(reply)

    def flush(self) -> dict[str, Totals]:
        """What came since the last flush."""
        waiting, self._waiting = self._waiting, {}
        made = {model: summed(replies, self._slos.get(model, Slo())) for model, replies in waiting.items()}
        for model, found in made.items():
            self.totals.setdefault(model, Totals()).add(found)
            for kind in FELT:
                if len(found.seconds[kind]):
                    log(self._stats.get(model, kind), found.seconds[kind])
        return made


def log(entry: StatsEntry, found: Histogram) -> None:
    """Many values at once into a statistic of locust's: an event each would cost more than the answer did."""
    now = time.time()
    milliseconds = [(seconds * 1000, count) for seconds, count in found.values()]
    entry.num_requests += len(found)
    entry.num_reqs_per_sec[int(now)] += len(found)
    entry.last_request_timestamp = now
    entry.total_response_time += found.total * 1000  # type: ignore[assignment] # floats are what locust is given, too
    least, most = milliseconds[0][0], milliseconds[-1][0]
    known = entry.min_response_time
    entry.min_response_time = least if known is None else min(known, least)  # type: ignore[assignment]
    entry.max_response_time = max(entry.max_response_time, most)  # type: ignore[assignment]
    for value, count in milliseconds:
        entry.response_times[bucket_response_time(value)] += count
