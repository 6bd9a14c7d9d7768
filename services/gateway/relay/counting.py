"""How many tokens a text was written in, by the events that brought it and a tokenizer.

An engine sends an event per token, unless it lags, guesses ahead (speculative decoding) or holds back half a character:
then an event brings several. The tokenizer tells how many it would cut the text into, but a model does not always write
as its tokenizer cuts: it may write a blank line as one token that its tokenizer cuts into two. So where the tokenizer
counts more tokens than there were events, the events that it cuts are looked for, and each is counted by itself: what
was one token is one again, what was several is several.
"""

from collections.abc import Awaitable, Callable, Sequence

MOST_SOUGHT = 8
"""Surplus tokens that are looked for one by one, in some ten questions each; of more, the tokenizer's word is taken."""

Count = Callable[[str], Awaitable[int]]
"""A text's tokens by the tokenizer."""


async def tokens_of(pieces: Sequence[str], count: Count) -> int:
    """`pieces`: each event's text, a token at least. Raises what `count` does."""
    events = len(pieces)
    surplus = await count("".join(pieces)) - events
    if surplus <= 0:
        return events
    if surplus > MOST_SOUGHT:
        return events + surplus
    return events + min(surplus, await _several(pieces, surplus, count))


async def _several(pieces: Sequence[str], surplus: int, count: Count) -> int:
    """How many tokens more than events there are in those that bring several."""
    found = begin = seen = 0
    while seen < surplus and begin < len(pieces):
        low, high = begin, len(pieces)
        while high - low > 1:
            middle = (low + high) // 2
            if await count("".join(pieces[:middle])) - middle > seen:
                high = middle
            else:
                low = middle
        found += await count(pieces[high - 1]) - 1
        seen = max(seen, await count("".join(pieces[:high])) - high)
        begin = high
    return found
