"""XLM-RoBERTa's SentencePiece unigram tokenizer: the most probable split of a text into known pieces (Viterbi)."""

import re

from services.sentiment.weights import Vocabulary

_SPACE = "\u2581"
_SPACES = re.compile(" {2,}")


class Tokenizer:
    """Token ids with the begin and end marks, cut at `limit` tokens in all."""

    def __init__(self, vocabulary: Vocabulary, limit: int) -> None:
        self._vocabulary = vocabulary
        self._limit = limit

    def __call__(self, text: str) -> list[int]:
        ids = self._split(self._normalise(text))
        return [self._vocabulary.begin, *ids[: self._limit - 2], self._vocabulary.end]

    def _normalise(self, text: str) -> str:
        text = _SPACES.sub(" ", text.translate(self._vocabulary.replacements))
        return _SPACE + text.removeprefix(" ").replace(" ", _SPACE)

    def _split(self, text: str) -> list[int]:
        vocabulary = self._vocabulary
        pieces, longest, size = vocabulary.scores, vocabulary.longest, len(text)
        best = [-1e30] * size + [-1e30]
        best[0] = 0.0
        back = [(0, 0)] * (size + 1)  # the last piece of the best split that ends here, and where it starts
        for start in range(size):
            base = best[start]
            if base + vocabulary.unknown_score > best[start + 1]:
                best[start + 1], back[start + 1] = base + vocabulary.unknown_score, (vocabulary.unknown, start)
            for stop in range(start + 1, min(start + longest, size) + 1):
                found = pieces.get(text[start:stop])
                if found is not None and base + found[1] > best[stop]:
                    best[stop], back[stop] = base + found[1], (found[0], start)
        return _walk(back, size)


def _walk(back: list[tuple[int, int]], stop: int) -> list[int]:
    ids = []
    while stop:
        piece, stop = back[stop]
        ids.append(piece)
    return ids[::-1]
