"""How texts of several requests share batches."""

import asyncio
import threading

import pytest

from services.sentiment.batching import Batcher, Row


class Model:
    """Answers a text with its length; holds every batch until `go` is set; fails where a text is "bad"."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.go = threading.Event()

    def __call__(self, texts: list[str]) -> list[Row]:
        self.batches.append(texts)
        assert self.go.wait(5)
        if "bad" in texts:
            raise ValueError("bad")
        return [[float(len(text))] for text in texts]


@pytest.fixture
def model() -> Model:
    return Model()


def batcher(model: Model, size: int = 4) -> Batcher:
    return Batcher(model, size, lambda requests, texts: None)


async def after_the_first_batch_began(model: Model) -> None:
    while not model.batches:
        await asyncio.sleep(0.001)


async def test_what_arrives_during_a_batch_makes_up_the_next(model: Model) -> None:
    batch = batcher(model)
    first = asyncio.create_task(batch(["a"]))
    await after_the_first_batch_began(model)
    others = [asyncio.create_task(batch([text])) for text in ("bb", "ccc", "dddd")]
    await asyncio.sleep(0)
    model.go.set()
    assert await asyncio.gather(first, *others) == [[[1.0]], [[2.0]], [[3.0]], [[4.0]]]
    assert model.batches == [["a"], ["bb", "ccc", "dddd"]]


async def test_a_long_request_is_split_and_lets_a_short_one_past(model: Model) -> None:
    batch = batcher(model)
    long = asyncio.create_task(batch([f"l{i:02}" for i in range(10)]))
    await after_the_first_batch_began(model)
    short = asyncio.create_task(batch(["s"]))
    await asyncio.sleep(0)
    model.go.set()
    assert await short == [[1.0]]
    assert await long == [[3.0]] * 10
    assert model.batches == [
        ["l00", "l01", "l02", "l03"],
        ["l04", "l05", "l06", "l07"],
        ["s", "l08", "l09"],
    ]


async def test_only_the_request_that_made_a_batch_fail_fails(model: Model) -> None:
    batch = batcher(model)
    first = asyncio.create_task(batch(["a"]))
    await after_the_first_batch_began(model)
    others = [asyncio.create_task(batch([text])) for text in ("bb", "bad", "dddd")]
    await asyncio.sleep(0)
    model.go.set()
    answers = await asyncio.gather(first, *others, return_exceptions=True)
    assert isinstance(answers.pop(2), ValueError)
    assert answers == [[[1.0]], [[2.0]], [[4.0]]]


async def test_a_cancelled_request_is_not_run(model: Model) -> None:
    batch = batcher(model)
    first = asyncio.create_task(batch(["a"]))
    await after_the_first_batch_began(model)
    gone, stays = asyncio.create_task(batch(["gone"])), asyncio.create_task(batch(["stays"]))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    model.go.set()
    await asyncio.gather(first, stays)
    assert model.batches == [["a"], ["stays"]]
    assert batch.waiting == 0


async def test_a_batch_never_exceeds_its_size(model: Model) -> None:
    model.go.set()
    batch = batcher(model, size=3)
    answers = await asyncio.gather(*(batch(["x" * n] * n) for n in range(1, 9)))
    assert answers == [[[float(n)]] * n for n in range(1, 9)]
    assert max(map(len, model.batches)) == 3
