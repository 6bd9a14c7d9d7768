"""WHERE a request runs: filter, score, pick. No clock, socket or metric inside."""

import random
from collections.abc import Collection, Sequence
from typing import TypeVar

from services.gateway.registry import Model
from services.gateway.routing import scorers
from services.gateway.routing.filters import candidates, weighted_version
from services.gateway.routing.hints import ANYWHERE, Hints
from services.gateway.routing.prefixes import Chain, PrefixMemory, chain
from services.gateway.upstream.endpoint import Endpoint
from services.gateway.upstream.vitals import Vitals

T = TypeVar("T")

Standing = tuple[list[Vitals | None], list[float]]
"""Vitals of some endpoints, and what they are worth."""


class Picker:
    """Picks among one model's endpoints. All it remembers is which prompts each was given."""

    def __init__(
        self, endpoints: Sequence[Endpoint], model: Model, draw: random.Random, memory: PrefixMemory | None = None
    ) -> None:
        """`memory`: what was remembered of these endpoints, if anything."""
        routing = model.routing
        self._routing, self._weights, self._draw = routing, routing.weights, draw
        self._shares = {label: version.weight for label, version in model.versions.items()}
        self._shadows = model.shadows
        self.memory = PrefixMemory(endpoints, routing.prefix_blocks) if memory is None else memory
        self._turn = 0
        self._take(endpoints)

    def use(self, endpoints: Sequence[Endpoint]) -> None:
        """From now on these. What was given to those that stay is remembered."""
        self.memory = self.memory.kept(endpoints, self._routing.prefix_blocks)
        self._take(endpoints)

    def _take(self, endpoints: Sequence[Endpoint]) -> None:
        routing = self._routing
        self.endpoints = tuple(endpoints)
        """Version by version, in the registry's order."""
        self._answering = [endpoint for endpoint in endpoints if endpoint.version not in self._shadows]
        self._versions = {
            version: [endpoint for endpoint in endpoints if endpoint.version == version]
            for version in dict.fromkeys(endpoint.version for endpoint in endpoints)
        }
        self._one_version = len({endpoint.version for endpoint in self._answering}) == 1
        few = self._answering if self._one_version and len(self._answering) <= routing.choices_above else []
        self._turns = [[*few[first:], *few[:first]] for first in range(len(few))]
        """The endpoints from each one on, where all of them are looked at for every request."""
        self._places = {endpoint: scorers.digest(endpoint.url) for endpoint in endpoints}
        self._standing: dict[str, Standing] = {}

    def pick(self, hints: Hints, adapter: str | None, tried: Collection[Endpoint]) -> Endpoint | None:
        """The endpoint for a request, or None where none is healthy and untried."""
        if hints is ANYWHERE and adapter is None and self._turns and not tried:
            idlest = self._idlest()
            if idlest is not None:
                return idlest
        able = self._able(hints, tried)
        if len(able) < 2:
            return able[0] if able else None
        blocks = chain(hints, adapter) if hints.body and self._weights.prefix else []
        if len(able) > self._routing.choices_above:
            able = self._few(able, hints, adapter, blocks)
        chosen = able[self._best(self._scores(able, hints, adapter, blocks))]
        if blocks:
            self.memory.learn(blocks, chosen)
        return chosen

    def _idlest(self) -> Endpoint | None:
        """Most requests: nothing tells the endpoints apart but what they have in flight, and equals take turns.

        None where something else does.
        """
        self._turn = (self._turn + 1) % len(self._turns)
        best, fewest = None, 0
        for endpoint in self._turns[self._turn]:
            if endpoint.vitals is not None:
                return None
            if endpoint.healthy and (endpoint.circuit.closed or endpoint.circuit.admits()):
                in_flight = endpoint.in_flight
                if best is None or in_flight < fewest:
                    best, fewest = endpoint, in_flight
        return best

    def _able(self, hints: Hints, tried: Collection[Endpoint]) -> Sequence[Endpoint]:
        if hints.version is not None:
            return candidates(self._versions.get(hints.version, ()), tried)
        able = candidates(self._answering, tried)
        if self._one_version or len(able) < 2:
            return able
        # A session stays with its version: half a conversation with another model would be felt.
        point = scorers.point(hints.session) if hints.session else self._draw.random()
        return weighted_version(able, self._shares, point)

    def _few(self, able: Sequence[Endpoint], hints: Hints, adapter: str | None, blocks: Chain) -> Sequence[Endpoint]:
        """Two at random, and those that the request is drawn to.

        "The power of two choices in randomized load balancing" (Mitzenmacher, 2001).
        """
        few = [self._any(able), self._any(able)]
        if blocks:
            depths = self.memory.matched(blocks, able)
            longest = max(depths)
            deepest = [endpoint for endpoint, depth in zip(able, depths, strict=True) if depth == longest]
            few += [self._any(deepest), self._any(deepest)]
        if hints.session:
            few.append(scorers.session_owner(able, self._places, hints.session, self._routing.spread))
        if adapter:
            few += [e for e in able if e.vitals is not None and adapter in e.vitals.adapters][:2]
        return list(dict.fromkeys(few))

    def _scores(self, able: Sequence[Endpoint], hints: Hints, adapter: str | None, blocks: Chain) -> Sequence[float]:
        """Every score that can tell these endpoints apart for this request, by its weight and added up."""
        weights, spread = self._weights, self._routing.spread
        vitals = [endpoint.vitals for endpoint in able]
        if not (adapter or blocks or hints.session or any(vitals)):
            return [
                -weights.in_flight * endpoint.in_flight for endpoint in able
            ]  # one score alone: its order is enough
        scores = scorers.weighted(weights.in_flight, scorers.in_flight(able))
        if any(vitals):
            scores = scorers.added(scores, self._worth(able[0].version, vitals))
        if adapter:
            scores = scorers.added(scores, scorers.weighted(weights.adapter, scorers.adapter(vitals, adapter)))
        depths = self.memory.matched(blocks, able) if blocks else [0]
        if max(depths) > min(depths):
            served = scorers.prefix(depths, len(blocks), able, spread)
            scores = scorers.added(scores, scorers.weighted(weights.prefix, served))
        if hints.session:
            own = scorers.session(able, self._places, hints.session, spread)
            scores = scorers.added(scores, scorers.weighted(weights.session, own))
        return scores

    def _worth(self, version: str, vitals: list[Vitals | None]) -> list[float]:
        """Queue and KV-cache scores: they change with a scrape, not with a request."""
        known = self._standing.get(version)
        if known is not None and known[0] == vitals:
            return known[1]
        queue, room = scorers.queue(vitals), scorers.kv_cache(vitals)
        worth = scorers.added(
            scorers.weighted(self._weights.queue, queue), scorers.weighted(self._weights.kv_cache, room)
        )
        self._standing[version] = (vitals, worth)
        return worth

    def _best(self, scores: Sequence[float]) -> int:
        """Where the highest score is; equals are drawn from, so that no endpoint is always the first."""
        best = max(scores)
        if scores.count(best) == 1:
            return scores.index(best)
        return self._any([index for index, score in enumerate(scores) if score == best])

    def _any(self, some: Sequence[T]) -> T:
        return some[int(self._draw.random() * len(some))]
