"""How much may this caller use, and what did it use: each call's account with its key and its tenant."""

from collections.abc import Sequence
from typing import ClassVar

from services.common.errors import NaruError
from services.gateway.answers import Answer
from services.gateway.instruments import Counts
from services.gateway.metrics import OK
from services.gateway.policy.keyring import Principal
from services.gateway.policy.usage.ledger import Ledger
from services.gateway.policy.usage.spent import BYTES_PER_TOKEN, MOST_GUESSED, NOTHING, Spent, spent
from services.gateway.policy.windows.headers import Told
from services.gateway.policy.windows.limiter import Limiter, Standing
from services.gateway.relay.account import LIMIT_HEADER, Account, Applicant
from services.gateway.relay.dialects import Usage
from services.gateway.routing.fleet import ModelPool
from services.gateway.upstream.request import Header, headers

FIRST_GUESS = 512
"""Tokens that a call is expected to use, until one has ended."""
REMEMBERED = 8
"""Calls over which the tokens of one are averaged."""
MOST_CALLERS = 10_000
"""Whose terms are remembered: as many as the key file has, and had."""


class Terms:
    """What a caller's limits come to, worked out once."""

    __slots__ = ("mean", "metered", "told")

    def __init__(self, principal: Principal) -> None:
        self.told = Told(principal.scopes)
        self.metered = any(scope.metered for scope in principal.scopes)
        self.mean = FIRST_GUESS
        """Tokens of a call."""


class Quotas:
    def __init__(self, limiter: Limiter, ledger: Ledger, refusals: Counts) -> None:
        self.limiter, self.ledger, self.refusals = limiter, ledger, refusals
        self._terms: dict[Principal, Terms] = {}

    def account(self, principal: Principal, size: int, *, stream: bool) -> Account:
        """For one call. `size`: bytes of its body."""
        if not principal.scopes:
            return Unlimited(self.ledger, principal, size)
        return Limited(self, self._terms.get(principal) or self._make(principal), principal, size, stream)

    def _make(self, principal: Principal) -> Terms:
        if len(self._terms) >= MOST_CALLERS:
            self._terms.clear()
        made = self._terms[principal] = Terms(principal)
        return made


class Unlimited:
    """Of a caller whom nothing limits: its use is only written down."""

    headers: ClassVar[Sequence[Header]] = ()

    def __init__(self, ledger: Ledger, principal: Principal, size: int) -> None:
        self._ledger, self._principal, self._size = ledger, principal, size

    def lines(self) -> bytes:
        return b""

    def open(self, applicant: Applicant) -> None:
        applicant.permitted()

    def close(self, outcome: str, usage: Usage, pieces: int) -> None:
        pass

    def record(self, answer: Answer, pool: ModelPool, version: str, pieces: int) -> None:
        used = spent(answer.outcome, answer.input_tokens, answer.output_tokens, pieces, self._size)
        self._ledger.record(self._principal, pool, version, used, answered=answer.outcome == OK)


class Limited:
    """Of a caller who has limits."""

    # On the class: most calls never change most of these, and what is not set costs nothing.
    _applicant: Applicant | None = None
    """While it waits; not longer, because the relay holds this account."""
    _granted = False
    _standings: Sequence[Standing] = ()
    _which = ""
    reserved = 0
    since = 0

    def __init__(self, quotas: Quotas, terms: Terms, principal: Principal, size: int, stream: bool) -> None:
        self._quotas, self._terms, self._principal, self._size = quotas, terms, principal, size
        self.scopes, self.stream = principal.scopes, stream
        self._used: Spent = NOTHING
        if terms.metered:
            self.reserved = terms.mean
            if size > self.reserved * BYTES_PER_TOKEN:
                self.reserved = max(self.reserved, min(size // BYTES_PER_TOKEN, MOST_GUESSED))

    @property
    def headers(self) -> Sequence[Header]:
        return headers(self.lines())

    def lines(self) -> bytes:
        told = self._terms.told.lines(self._standings, self.reserved if self.since else 0)
        return told + LIMIT_HEADER + b": " + self._which.encode() + b"\r\n" if self._which else told

    def open(self, applicant: Applicant) -> None:
        self._applicant = applicant
        standings = self._quotas.limiter.ask(self)
        if standings is not None:
            self._applicant, self._granted, self._standings = None, True, standings
            applicant.permitted()

    def close(self, outcome: str, usage: Usage, pieces: int) -> None:
        self._applicant = None
        if self._granted:  # and not refused, or left before the limiter had answered
            self._used = given, made, _ = spent(outcome, usage.input, usage.output, pieces, self._size)
            tokens, since = given + made, self.since
            self._quotas.limiter.settle(self, tokens, since)
            if since:
                self.since, terms = 0, self._terms
                terms.mean += (tokens - terms.mean) // REMEMBERED

    def record(self, answer: Answer, pool: ModelPool, version: str, pieces: int) -> None:  # noqa: ARG002 - as `Account`
        self._quotas.ledger.record(self._principal, pool, version, self._used, answered=answer.outcome == OK)

    # Claim: from the limiter

    def granted(self, standings: Sequence[Standing], since: int = 0) -> None:
        applicant, self._applicant = self._applicant, None
        if applicant is None:
            self._quotas.limiter.settle(self, 0, since)
            return
        self._granted, self._standings, self.since = True, standings, since
        applicant.permitted()

    def refused(self, error: NaruError, standings: Sequence[Standing] = (), limit: str = "", scope: str = "") -> None:
        applicant, self._applicant = self._applicant, None
        if applicant is None:
            return
        self._standings = standings
        if limit:
            kind = scope.partition(":")[0]
            self._which = f"{kind}/{limit}"
            self._quotas.refusals.labels(self._principal.tenant, kind, limit).inc()
        applicant.abort(error)
