"""A text's tokens are what the model wrote, however many of them an event brought and however a tokenizer cuts."""

import re
from collections.abc import Sequence

import pytest

from services.gateway.relay.counting import MOST_SOUGHT, tokens_of

PIECE = re.compile(r" ?[a-z]+|\n\n(?=$)|.", re.DOTALL)


class Tokenizer:
    """Cuts into words and characters; a blank line that more text follows, into two."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, text: str) -> int:
        self.asked += 1
        return len(PIECE.findall(text))


async def counted(pieces: Sequence[str]) -> tuple[int, int]:
    """Tokens, and how often the tokenizer was asked."""
    tokenizer = Tokenizer()
    return await tokens_of(pieces, tokenizer), tokenizer.asked


WORDS = [f" {chr(97 + i % 26)}" for i in range(200)]


async def test_an_event_per_token_is_asked_for_once() -> None:
    assert await counted(WORDS) == (200, 1)


@pytest.mark.parametrize("merged", [[0], [57], [199], [3, 4, 150], [10, 60, 61, 130, 190]])
async def test_events_that_bring_two_tokens_are_found(merged: list[int]) -> None:
    pieces = [word + (" and" if place in merged else "") for place, word in enumerate(WORDS)]
    tokens, asked = await counted(pieces)
    assert tokens == 200 + len(merged)
    assert asked <= 1 + 10 * len(merged)


async def test_a_token_that_the_tokenizer_would_cut_is_one() -> None:
    pieces = [*WORDS[:50], "\n\n", *WORDS[50:]]
    assert (await counted(pieces))[0] == 201


async def test_both_at_once() -> None:
    pieces = [*WORDS[:20], " two words", *WORDS[20:50], "\n\n", *WORDS[50:]]
    assert (await counted(pieces))[0] == 203


async def test_a_model_that_writes_finer_than_its_tokenizer_cuts() -> None:
    assert await counted(["f", "er", "ry"]) == (3, 1)


async def test_where_most_events_bring_several_the_tokenizer_is_believed() -> None:
    pieces = ["".join(WORDS[at : at + 4]) for at in range(0, 200, 4)]
    assert len(pieces) + MOST_SOUGHT < 200
    assert await counted(pieces) == (200, 1)
