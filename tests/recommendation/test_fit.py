"""The closed forms give what the textbook matrices give."""

import numpy as np
import pytest

from services.recommendation.fit import fit_next, fit_together
from services.recommendation.settings import TrainingSection

SEQUENCES = [np.array([0, 1, 2, 3]), np.array([3, 1]), np.array([2, 0, 4, 1, 3]), np.array([4])]


def test_transitions_equal_the_ridge_regression_over_all_positions() -> None:
    training = TrainingSection(short_decay=0.7, future_decay=0.4, next_ridge=0.5)
    past, future = [], []
    for sequence in SEQUENCES:
        for position in range(1, len(sequence)):
            x, y = np.zeros(5), np.zeros(5)
            for a in range(position):
                x[sequence[a]] += 0.7 ** (position - 1 - a)
            for b in range(position, len(sequence)):
                y[sequence[b]] += 0.4 ** (b - position)
            past.append(x)
            future.append(y)
    gram = np.array(past).T @ np.array(past)
    ridge = 0.5 * np.diag(gram).mean()
    expected = np.linalg.solve(gram + ridge * np.eye(5), np.array(past).T @ np.array(future))
    assert fit_next(SEQUENCES, 5, training) == pytest.approx(expected)


def test_together_never_recommends_an_item_for_itself() -> None:
    weights = fit_together(SEQUENCES, 5, ridge=1.0)
    assert np.diag(weights).tolist() == [0] * 5


def test_together_is_the_best_reconstruction_without_self() -> None:
    """Column by column EASE is a ridge regression of one item on all others."""
    seen = np.zeros((4, 5))
    for row, sequence in enumerate(SEQUENCES):
        seen[row, sequence] = 1
    ridge = np.diag(seen.T @ seen).mean()
    others = [0, 1, 3, 4]
    gram = seen[:, others].T @ seen[:, others] + ridge * np.eye(4)
    expected = np.linalg.solve(gram, seen[:, others].T @ seen[:, 2])
    assert fit_together(SEQUENCES, 5, ridge=1.0)[others, 2] == pytest.approx(expected)
