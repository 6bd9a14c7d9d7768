"""Two linear item-to-item models in closed form: no gradient steps, seconds on one core, the same result every time.

Together (EASE, Steck 2019, arXiv:1905.03375): which items are in the same history. With P = (X'X + rI)^-1 for the
binary users x items matrix X, the weights are -P_ij / P_jj and 0 on the diagonal.

Next (after SLIT of "Session-aware Linear Item-Item Models", Choi et al. 2021, arXiv:2103.16104): which items follow.
A ridge regression from the decayed past x_p to the decayed future y_p at every position p of every history:
x_p = sum over a < p of s^(p-1-a) e_a and y_p = sum over b >= p of f^(b-p) e_b, e being one-hot. Neither matrix is
built: summed over p, a pair of items d places apart contributes a number that depends on d (and, for X'X, on how much
of the history is left), so both X'X and X'Y are sums over distances.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from services.recommendation.data import Ints
from services.recommendation.settings import TrainingSection

Floats = npt.NDArray[np.float64]
_USERS_PER_BLOCK = 1024


def fit_together(sequences: Sequence[Ints], items: int, ridge: float) -> Floats:
    """EASE weights, items x items."""
    gram = np.zeros((items, items))
    for start in range(0, len(sequences), _USERS_PER_BLOCK):
        block = sequences[start : start + _USERS_PER_BLOCK]
        seen = np.zeros((len(block), items))
        for row, sequence in enumerate(block):
            seen[row, sequence] = 1
        gram += seen.T @ seen
    _add_ridge(gram, ridge)
    precision = np.linalg.inv(gram)
    weights: Floats = precision / -np.diag(precision)
    np.fill_diagonal(weights, 0)
    return weights


def fit_next(sequences: Sequence[Ints], items: int, training: TrainingSection) -> Floats:
    """Transition weights, items x items: row = an item of the past, column = what follows."""
    short, future = training.short_decay, training.future_decay
    past_past, past_future = np.zeros((items, items)), np.zeros((items, items))
    flat = np.concatenate(list(sequences))
    left = np.concatenate([np.arange(len(sequence))[::-1] for sequence in sequences])
    for distance in range(min(training.short_memory, int(left.max())) + 1):
        # Pairs a, b = a + distance; `after` counts the positions that still follow b.
        a = np.flatnonzero(left >= distance)
        older, newer, after = flat[a], flat[a + distance], left[a] - distance
        weight = short**distance * (1 - short ** (2 * after)) / (1 - short**2)
        np.add.at(past_past, (older, newer), weight)
        if distance:
            np.add.at(past_past, (newer, older), weight)
            reach = sum(short**k * future ** (distance - 1 - k) for k in range(distance))
            np.add.at(past_future, (older, newer), reach)
    _add_ridge(past_past, training.next_ridge)
    weights: Floats = np.linalg.solve(past_past, past_future).astype(np.float64, copy=False)
    return weights


def _add_ridge(gram: Floats, ridge: float) -> None:
    diagonal = np.diag_indices_from(gram)
    # A lone interaction leaves the short memory nothing to learn from; 1 keeps the matrix regular then.
    gram[diagonal] += ridge * (gram[diagonal].mean() or 1.0)


def decayed(history: Ints, memory: int, decay: float) -> tuple[Ints, npt.NDArray[np.float32]]:
    """The newest `memory` items of a history (oldest first) and their weights: 1 for the newest, falling by `decay`."""
    newest = history[-memory:]
    return newest, (decay ** np.arange(len(newest))[::-1]).astype(np.float32)


def fit(sequences: Sequence[Ints], items: int, training: TrainingSection) -> npt.NDArray[np.float32]:
    """Both models stacked, 2 x items x items, each scaled so that its scores spread equally, then weighed."""
    together = fit_together(sequences, items, training.together_ridge)
    following = fit_next(sequences, items, training)
    together /= _spread(together, sequences, training.long_memory, training.long_decay)
    following *= training.next_weight / _spread(following, sequences, training.short_memory, training.short_decay)
    return np.stack([together, following]).astype(np.float32)


def _spread(weights: Floats, sequences: Sequence[Ints], memory: int, decay: float, users: int = 1000) -> float:
    """Mean standard deviation of one history's scores, over (at most) `users` histories evenly taken."""
    step = max(1, len(sequences) // users)
    spreads = []
    for sequence in sequences[::step]:
        newest, weight = decayed(sequence, memory, decay)
        spreads.append(float((weight @ weights[newest]).std()))
    return float(np.mean(spreads)) or 1.0
