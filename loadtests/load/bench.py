"""A load test as a whole: what users share while it runs, and what is made of it once it has ended."""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter

import gevent
from locust.env import Environment

from loadtests.load.client import Client
from loadtests.load.knee import Knee, Search
from loadtests.load.options import prompts
from loadtests.load.pulse import Pulse, Second
from loadtests.load.records import Records
from loadtests.load.shapes import SHAPES, Shape
from loadtests.load.slo import Verdict, judge
from loadtests.load.target import BenchError, models, slos
from loadtests.load.totals import Totals
from services.gateway.registry import Task


@dataclass(frozen=True, slots=True)
class Moment:
    """A second of the test."""

    at: float
    users: int
    came: dict[str, Totals]
    second: Second


class Bench:
    """Raises BenchError, RegistryError, PromptError."""

    def __init__(self, environment: Environment) -> None:
        options = environment.parsed_options
        assert options is not None
        self.options: argparse.Namespace = options
        try:
            self.client = Client(environment.host or options.host or "", options.key, options.timeout)
        except ValueError as error:
            raise BenchError(str(error)) from None
        self.models = models(environment.host or options.host, options.key)
        self.slos = slos(options, self.models.get(Task.CHAT))
        self.prompts = prompts(options)
        self.records = Records(self.slos, environment.stats)
        self.pulse = Pulse()
        self.moments: list[Moment] = []
        self.watching: gevent.Greenlet[..., None] | None = None
        self._environment, self._began = environment, perf_counter()
        self._users = None if options.load == Shape.KNEE else SHAPES[Shape(options.load)](
            options.num_users or 1, float(options.run_time or 60)
        )  # fmt: skip
        self.knee = self._knee() if options.load == Shape.KNEE else None

    told = (
        "load", "num_users", "run_time", "arrivals", "burstiness", "think", "mix", "words", "tokens", "prefixes",
        "prefix_words", "prompts", "seed", "ignore_eos", "quantile", "ttft", "tpot",
    )  # fmt: skip
    """The options that a report names."""

    def _knee(self) -> Knee:
        name = self.models.get(Task.CHAT)
        slo = self.slos.get(name or "")
        if slo is None or (slo.ttft is None and slo.tpot is None):
            raise BenchError(
                "a knee needs objectives for the chat model: give --ttft or --tpot, or a --registry with slo"
            )
        options = self.options
        judged: Callable[[Totals], Verdict] = lambda found: judge(found, slo, options.quantile)  # noqa: E731
        return Knee(Search(level=4, most=options.num_users or 256), options.dwell, judged)

    def users(self, at: float) -> int | None:
        """How many there should be after so many seconds; None ends the test."""
        if self.knee is not None:
            return self.knee.users
        assert self._users is not None
        return self._users(at) if at < float(self.options.run_time or 60) else None

    def watch(self) -> None:
        """Beat, and once a second write down what came; for ever."""
        beating = gevent.spawn(self.pulse.beat)
        try:
            while True:
                gevent.sleep(1.0)
                self.close_second()
        finally:
            beating.kill()

    def close_second(self) -> None:
        runner = self._environment.runner
        running = runner.user_count if runner is not None else 0
        now = perf_counter()
        self.moments.append(Moment(now - self._began, running, self.records.flush(), self.pulse.count()))
        if self.knee is not None:
            self.knee.tick(now, running, self.records.totals.get(self.models[Task.CHAT], Totals()))

    def verdicts(self) -> Iterator[tuple[str, Verdict]]:
        """Of each model that has objectives and was asked."""
        for model, totals in self.records.totals.items():
            if model in self.slos:
                yield model, judge(totals, self.slos[model], self.options.quantile)
