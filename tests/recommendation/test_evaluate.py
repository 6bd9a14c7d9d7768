"""The metrics on cases worked out by hand."""

import math

import numpy as np
import pytest

from services.recommendation.data import Interactions
from services.recommendation.evaluate import hold_out, ndcg_at, quality, rank_of, recall_at


def test_a_hit_in_first_place_counts_fully() -> None:
    assert (recall_at(0, 10), ndcg_at(0, 10)) == (1.0, 1.0)


def test_a_hit_in_third_place_has_half_the_gain() -> None:
    assert (recall_at(2, 10), ndcg_at(2, 10)) == (1.0, 0.5)


def test_the_tenth_place_is_inside_and_the_eleventh_outside() -> None:
    assert ndcg_at(9, 10) == pytest.approx(1 / math.log2(11))
    assert (recall_at(9, 10), recall_at(10, 10), ndcg_at(10, 10)) == (1.0, 0.0, 0.0)


def test_seen_items_do_not_compete() -> None:
    scores = np.array([9, 8, 7, 6], dtype=np.float32)
    assert rank_of(3, scores, seen=np.array([0, 2])) == 1


def test_equal_scores_rank_in_catalogue_order() -> None:
    scores = np.array([1, 5, 5, 5], dtype=np.float32)
    assert [rank_of(target, scores, seen=np.array([], dtype=np.int64)) for target in (1, 2, 3, 0)] == [0, 1, 2, 3]


def test_quality_is_the_mean_over_users() -> None:
    scores = np.array([4, 3, 2, 1], dtype=np.float32)
    histories = [np.array([0]), np.array([3])]
    result = quality(lambda _: scores, histories, targets=[1, 2], k=2)
    assert (result.recall, result.ndcg, result.users) == (0.5, 0.5, 2)


def test_holding_out_keeps_the_future_from_training() -> None:
    sequences = [np.array([0, 1, 2, 3]), np.array([2, 0])]
    data = Interactions(users=["a", "b"], items=["0", "1", "2", "3"], titles={}, sequences=sequences)
    last, earlier = hold_out(data, back=1), hold_out(data, back=2)
    assert (last.targets, [h.tolist() for h in last.histories]) == ([3], [[0, 1, 2]])
    assert (earlier.targets, [s.tolist() for s in earlier.train.sequences]) == ([2], [[0, 1], [2, 0]])
