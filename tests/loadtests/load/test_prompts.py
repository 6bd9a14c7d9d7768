"""Prompts: the same seed asks the same, beginnings are shared, files of real conversations are read."""

import json
import random
import statistics
from pathlib import Path

import pytest

from loadtests.load.prompts import MIXES, Generated, PromptError, ShareGpt, fixed
from loadtests.load.shapes import SHAPES, Shape, gap


def test_the_same_seed_asks_the_same() -> None:
    first, again, other = (Generated(MIXES["chat"], seed, 4, 50) for seed in (1, 1, 2))
    assert first.conversation(random.Random(7)) == again.conversation(random.Random(7))
    assert first.conversation(random.Random(7)) != other.conversation(random.Random(7))


def test_conversations_share_their_beginnings_and_differ_in_length() -> None:
    made, draw = Generated(MIXES["chat"], 1, 4, 50), random.Random(3)
    talks = [made.conversation(draw) for _ in range(500)]
    assert len({talk.system for talk in talks}) == 4
    words = [len(turn.text.split()) for talk in talks for turn in talk.turns]
    assert min(words) < 10
    assert max(words) > 300
    assert 10 < statistics.median(words) < 60, "most messages are short"
    assert {len(talk.turns) for talk in talks} >= {1, 2, 3, 4}


def test_a_fixed_length_is_that_length() -> None:
    talk = Generated(fixed(12, 34), 1, 0, 0).conversation(random.Random(1))
    assert (talk.system, len(talk.turns), talk.turns[0].max_tokens) == ("", 1, 34)
    assert len(talk.turns[0].text.split()) == 12


def test_a_sharegpt_file_is_read_turn_by_turn(tmp_path: Path) -> None:
    said = [("system", "be kind"), ("human", "Hi"), ("gpt", "Hello there you"), ("human", "And?"), ("gpt", "Bye")]
    path = tmp_path / "talks.json"
    path.write_text(json.dumps([{"conversations": [{"from": who, "value": text} for who, text in said]}]))
    turns = ShareGpt(path).conversation(random.Random(1)).turns
    assert [(turn.text, turn.max_tokens) for turn in turns] == [("Hi", 4), ("And?", 1)]


@pytest.mark.parametrize("text", ["", "{}", "[]", '[{"conversations": [{"from": "gpt", "value": "x"}]}]', "[1]"])
def test_a_file_without_conversations_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "talks.json"
    path.write_text(text)
    with pytest.raises(PromptError, match=r"talks\.json"):
        ShareGpt(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="No such file"):
        ShareGpt(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (Shape.STEADY, [50, 50, 50, 50]),
        (Shape.RAMP, [5, 20, 30, 50]),
        (Shape.SPIKE, [5, 5, 50, 5]),
        (Shape.SOAK, [1, 50, 50, 50]),
    ],
)
def test_shapes(shape: Shape, expected: list[int]) -> None:
    users = SHAPES[shape](50, 100.0)
    assert [users(at) for at in (0.0, 30.0, 50.0, 99.0)] == expected


@pytest.mark.parametrize("burstiness", [0.25, 1.0, 100.0])
def test_arrivals_keep_their_rate_however_evenly_they_come(burstiness: float) -> None:
    draw = random.Random(5)
    gaps = [gap(draw, rate=4, burstiness=burstiness) for _ in range(20_000)]
    mean = statistics.fmean(gaps)
    assert mean == pytest.approx(1 / 4, rel=0.05)
    assert statistics.stdev(gaps) / mean == pytest.approx(burstiness**-0.5, rel=0.05)
