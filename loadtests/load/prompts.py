"""What users say: from a seeded generator, or from a file of real conversations in ShareGPT's format."""

import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

TALE = """a ferry crosses the river at dawn with timber and salt while the captain watches tide and current the lantern
swings above the deck gulls follow the nets a bell answers from the harbour and the village wakes on the other shore"""
WORDS = tuple(TALE.split())
WORDS_A_TOKEN = 0.75
"""English, roughly; the engine counts for itself."""
Message = dict[str, object]


class PromptError(ValueError):
    """A file of prompts can't be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Turn:
    text: str
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Conversation:
    """What one user says in it, turn by turn; `system` is what many conversations begin with."""

    system: str
    turns: tuple[Turn, ...]


class Prompts(Protocol):
    def conversation(self, draw: random.Random) -> Conversation: ...


@dataclass(frozen=True, slots=True)
class Length:
    """Log-normal, as the lengths of what people write and models answer are: most short, some very long."""

    median: float
    sigma: float
    most: int

    def drawn(self, draw: random.Random) -> int:
        return max(1, min(self.most, round(draw.lognormvariate(math.log(self.median), self.sigma))))


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of use: its share, words of a message, tokens of an answer, turns of a conversation."""

    share: float
    words: Length
    tokens: Length
    turns: Length


MIXES = {
    "chat": (
        Kind(0.7, Length(20, 0.8, 200), Length(80, 0.6, 300), Length(3, 0.6, 8)),
        Kind(0.2, Length(120, 0.6, 500), Length(150, 0.5, 400), Length(2, 0.5, 5)),
        Kind(0.1, Length(400, 0.4, 800), Length(60, 0.5, 200), Length(1, 0.3, 2)),
    ),
    "short": (Kind(1.0, Length(10, 0.5, 40), Length(24, 0.4, 64), Length(2, 0.5, 4)),),
    "documents": (Kind(1.0, Length(900, 0.3, 1500), Length(120, 0.4, 300), Length(1, 0.3, 2)),),
}


class Generated:
    """The same seed gives the same conversations, however they are spread over users: each draws with its own."""

    def __init__(self, kinds: tuple[Kind, ...], seed: int, prefixes: int, prefix_words: int) -> None:
        shared = random.Random(seed)
        self._kinds, self._shares = kinds, [kind.share for kind in kinds]
        self._systems = [_words(shared, prefix_words) for _ in range(prefixes)] or [""]

    def conversation(self, draw: random.Random) -> Conversation:
        (kind,) = draw.choices(self._kinds, self._shares)
        turns = tuple(
            Turn(_words(draw, kind.words.drawn(draw)), kind.tokens.drawn(draw)) for _ in range(kind.turns.drawn(draw))
        )
        return Conversation(draw.choice(self._systems), turns)


def fixed(words: int, tokens: int) -> tuple[Kind, ...]:
    """One message of so many words, one answer of so many tokens: what other tools can send, too."""
    return (Kind(1.0, Length(words, 0.0, words), Length(tokens, 0.0, tokens), Length(1, 0.0, 1)),)


class ShareGpt:
    """A JSON list of `{"conversations": [{"from": "human", "value": …}, {"from": "gpt", "value": …}, …]}`.

    An answer may be as long as the one in the file.
    """

    def __init__(self, path: Path, most_tokens: int = 1024) -> None:
        """Raises PromptError."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            self._all = [made for each in found if (made := tuple(_turns(each["conversations"], most_tokens)))]
        except OSError as error:
            raise PromptError(f"{path}: {error.strerror}") from None
        except (ValueError, LookupError, TypeError) as error:
            raise PromptError(f"{path} is not in ShareGPT's format: {type(error).__name__} {error}") from None
        if not self._all:
            raise PromptError(f"{path} has no conversation that a person begins")

    def conversation(self, draw: random.Random) -> Conversation:
        return Conversation("", draw.choice(self._all))


def _turns(said: list[dict[str, str]], most: int) -> Iterator[Turn]:
    for asked, answered in pairwise(said):
        if asked["from"] in {"human", "user"} and answered["from"] in {"gpt", "assistant"}:
            tokens = round(len(answered["value"].split()) / WORDS_A_TOKEN)
            yield Turn(asked["value"], max(1, min(most, tokens)))


def _words(draw: random.Random, count: int) -> str:
    return " ".join(draw.choices(WORDS, k=count))
