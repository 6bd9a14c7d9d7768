"""Users: each asks as its kind of client does, one after the other, or whenever the next one is due.

Closed loop: a user thinks, asks, reads, thinks. A server that slows down is asked less, and looks better than it is.
Open loop (`--arrivals`): each user stands for so many requests a second, which come at random (Poisson, unless
`--burstiness` says otherwise) and wait for no other; a request's clock starts when it was due. So come users who do not
know of each other, and nothing can hide.
"""

import random
from itertools import count
from time import perf_counter
from typing import Any, ClassVar

import gevent
from gevent.pool import Group
from locust import User, task
from locust.user.task import LOCUST_STATE_RUNNING

from loadtests.load.answer import Reply
from loadtests.load.bench import Bench
from loadtests.load.prompts import Conversation, Message
from loadtests.load.shapes import gap
from services.gateway.registry import Task

_numbers = count()
UNFINISHED = "unfinished"
"""The outcome of a request that the test's end cut off."""


class ModelUser(User):
    """Asks one model."""

    abstract = True
    kind: ClassVar[Task]
    environment: Any
    bench: ClassVar[Bench]
    """Set before the first one is made."""

    def on_start(self) -> None:
        self.draw = random.Random(f"{self.bench.options.seed} {type(self).__name__} {next(_numbers)}")
        self.model = self.bench.models[self.kind]
        self._open = Group()

    @task
    def live(self) -> None:
        if self.bench.options.arrivals:
            self._arrive()
        else:
            self.turn_by_turn()

    def turn_by_turn(self) -> None:
        """Once what this kind of user does."""
        reply = Reply(perf_counter())
        self.ask(reply)
        self.tell(reply)
        self.think()

    def ask(self, reply: Reply) -> None:
        """One request, to the end of its answer."""
        raise NotImplementedError

    def think(self) -> None:
        gevent.sleep(self.draw.expovariate(1 / self.bench.options.think) if self.bench.options.think else 0)

    def tell(self, reply: Reply) -> None:
        self.bench.records.take(self.model, reply)
        self.environment.events.request.fire(
            request_type=str(self.kind), name=self.model, response_time=(reply.ended - reply.began) * 1000,
            response_length=reply.length, exception=RuntimeError(reply.error) if reply.error else None, context={},
        )  # fmt: skip

    def _arrive(self) -> None:
        """One arrival after the other, none of which waits for an answer, until the test ends."""
        due, options = perf_counter(), self.bench.options
        while self._state == LOCUST_STATE_RUNNING:
            due += gap(self.draw, options.arrivals, options.burstiness)
            gevent.sleep(max(0.0, due - perf_counter()))
            self._open.spawn(self._answer, Reply(due))

    def _answer(self, reply: Reply) -> None:
        try:
            self.ask(reply)
        finally:
            if not reply.ended:  # the test's end kills what waits: to leave it out would leave the slowest out
                reply.ended, reply.error = perf_counter(), UNFINISHED
                reply.first = reply.first or reply.ended
            self.tell(reply)

    def on_stop(self) -> None:
        try:
            self._open.join()  # until locust's own stop timeout
        finally:
            self._open.kill()


class ChatUser(ModelUser):
    """Streams; a conversation goes on from turn to turn, with all that was said before."""

    kind = Task.CHAT
    weight = 6

    def turn_by_turn(self) -> None:
        talk = self.bench.prompts.conversation(self.draw)
        messages = begun(talk)
        for turn in talk.turns:
            messages.append({"role": "user", "content": turn.text})
            reply = Reply(perf_counter())
            self._stream(messages, turn.max_tokens, reply, keep=len(talk.turns) > 1)
            self.tell(reply)
            self.think()
            if reply.error or self._state != LOCUST_STATE_RUNNING:
                return
            messages.append({"role": "assistant", "content": reply.text})

    def ask(self, reply: Reply) -> None:
        """A conversation's first turn."""
        talk = self.bench.prompts.conversation(self.draw)
        messages = begun(talk)
        messages.append({"role": "user", "content": talk.turns[0].text})
        self._stream(messages, talk.turns[0].max_tokens, reply, keep=False)

    def _stream(self, messages: list[Message], tokens: int, reply: Reply, *, keep: bool) -> None:
        body: dict[str, object] = {
            "model": self.model, "messages": messages, "max_tokens": tokens, "temperature": 0.7, "stream": True,
            "stream_options": {"include_usage": True},
        }  # fmt: skip
        if self.bench.options.ignore_eos:
            body["ignore_eos"] = True
        self.bench.client.post("/v1/chat/completions", body, reply, keep=keep)


def begun(talk: Conversation) -> list[Message]:
    return [{"role": "system", "content": talk.system}] if talk.system else []


class SentimentUser(ModelUser):
    """A few texts at a time."""

    kind = Task.SENTIMENT
    weight = 2

    def ask(self, reply: Reply) -> None:
        texts = [self.bench.prompts.conversation(self.draw).turns[0].text for _ in range(self.draw.randint(1, 4))]
        self.bench.client.post("/v1/sentiment", {"model": self.model, "input": texts}, reply)


class RecommendationUser(ModelUser):
    """For users the model knows, and for such that it does not."""

    kind = Task.RECOMMENDATION
    weight = 1

    def ask(self, reply: Reply) -> None:
        known = self.draw.random() < 0.8
        asked: dict[str, object] = {"user_id": str(self.draw.randint(1, 943 if known else 10**6))}
        self.bench.client.post("/v1/recommendations", {"model": self.model, "k": 10, **asked}, reply)
