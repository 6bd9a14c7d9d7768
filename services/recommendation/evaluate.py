"""Offline quality: each user's last item is held out and ranked against the whole catalogue, seen items excluded."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from services.recommendation.data import Interactions, Ints
from services.recommendation.model import Scores

SPLIT = "last item of each user (with 3 or more) held out by time, ranked against all items the user has not seen"


@dataclass(frozen=True)
class Quality:
    """Means over users. With one held-out item, recall@k is the hit rate and the ideal DCG is 1."""

    recall: float
    ndcg: float
    users: int
    k: int


@dataclass(frozen=True)
class Split:
    """What is left to train on, and per evaluated user the history and the item that followed."""

    train: Interactions
    histories: list[Ints]
    targets: list[int]


def hold_out(data: Interactions, back: int) -> Split:
    """Hold out each user's `back`-th newest item (1 = last, 2 = second to last) and drop what came after it.

    Users too short to leave one item before it stay in training whole but for what was dropped.
    """
    long_enough = [len(sequence) > 2 for sequence in data.sequences]
    kept = [s[:-back] if long else s for s, long in zip(data.sequences, long_enough, strict=True)]
    pairs = [(s[:-back], int(s[-back])) for s, long in zip(data.sequences, long_enough, strict=True) if long]
    train = replace(data, sequences=kept)
    return Split(train, [history for history, _ in pairs], [target for _, target in pairs])


def rank_of(target: int, scores: Scores, seen: Ints) -> int:
    """Place of `target` among unseen items, 0 = first; equal scores in catalogue order, as the service answers."""
    competing = scores.copy()
    competing[seen] = -np.inf
    better = int((competing > scores[target]).sum())
    return better + int((competing[:target] == scores[target]).sum())


def recall_at(rank: int, k: int) -> float:
    return 1.0 if rank < k else 0.0


def ndcg_at(rank: int, k: int) -> float:
    """1 / log2(rank + 2) inside the first k (Jarvelin & Kekalainen 2002, one relevant item)."""
    return 1 / math.log2(rank + 2) if rank < k else 0.0


def quality(score: Callable[[Ints], Scores], histories: Sequence[Ints], targets: Sequence[int], k: int = 10) -> Quality:
    ranks = [rank_of(target, score(history), history) for history, target in zip(histories, targets, strict=True)]
    users = max(1, len(ranks))
    recall, ndcg = sum(recall_at(r, k) for r in ranks), sum(ndcg_at(r, k) for r in ranks)
    return Quality(recall=recall / users, ndcg=ndcg / users, users=len(ranks), k=k)
