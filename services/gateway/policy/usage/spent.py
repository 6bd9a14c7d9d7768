"""What an answer cost in tokens, also where its engine never came to say it."""

from services.gateway.metrics import OK

BYTES_PER_TOKEN = 4
"""Of a request's JSON; a rule of thumb that fits English and Korean."""
MOST_GUESSED = 4096
"""Tokens that a request is taken for at most without the engine's word: a body may hold an image."""


Spent = tuple[int, int, bool]
"""Tokens in, tokens out, and whether they are estimated: the engine did not say."""
NOTHING: Spent = (0, 0, False)


def spent(outcome: str, given: int | None, made: int | None, pieces: int, size: int) -> Spent:
    """`given`, `made`: tokens in and out by the engine's word; `pieces`: events with content that the client was sent;
    `size`: bytes of the request.

    An engine says what was used at the end. Where the client left or the engine died before, the client is charged a
    token for each piece it was sent, and for a prompt of the request's size; where it was sent nothing, nothing.
    """
    if made and (outcome == OK or made >= pieces):
        return given or 0, made, False
    if not pieces:
        return given or 0, 0, False
    return min(size // BYTES_PER_TOKEN, MOST_GUESSED) if given is None else given, pieces, True
