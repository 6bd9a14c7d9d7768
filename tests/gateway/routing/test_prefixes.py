"""What is remembered of prompts: bounded, and never more than was served."""

from collections.abc import Sequence
from itertools import takewhile

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.routing.hints import ANYWHERE
from services.gateway.routing.prefixes import BLOCK, LONGEST, PrefixMemory, chain
from tests.gateway.routing.endpoints import endpoint

MARK = b'"prompt"'


def blocks(body: bytes, adapter: str | None = None) -> list[int]:
    return chain(ANYWHERE.about(body, MARK), adapter)


def shared_by(one: Sequence[int], other: Sequence[int]) -> int:
    """How many elements two sequences begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


letters = st.lists(st.sampled_from("ab"), max_size=12).map(lambda names: b"".join(n.encode() * BLOCK for n in names))


@given(letters, letters)
def test_two_prompts_share_the_blocks_they_begin_with(one: bytes, other: bytes) -> None:
    alike = shared_by(one, other) // BLOCK
    assert shared_by(blocks(one), blocks(other)) == alike


def test_what_stands_before_the_prompt_does_not_count() -> None:
    rest = MARK + b":" + b"x" * 2000
    assert blocks(b'{"seed":1,' + rest) == blocks(b'{"temperature":0.7,"user":"b",' + rest)


def test_an_adapter_has_blocks_of_its_own() -> None:
    assert blocks(b"x" * 2000) != blocks(b"x" * 2000, "support")


def test_a_long_prompt_is_read_so_far_and_no_further() -> None:
    assert len(blocks(b"x" * BLOCK * 1000)) == LONGEST


served = st.lists(st.tuples(letters, st.integers(0, 2)), max_size=20)


@given(served, letters)
def test_an_endpoint_matches_what_it_was_given(given_out: list[tuple[bytes, int]], asked: bytes) -> None:
    endpoints = [endpoint() for _ in range(3)]
    memory = PrefixMemory(endpoints, 10_000)
    for body, index in given_out:
        memory.learn(blocks(body), endpoints[index])
    expected = [
        max((shared_by(blocks(body), blocks(asked)) for body, i in given_out if i == index), default=0)
        for index in range(3)
    ]
    assert memory.matched(blocks(asked), endpoints) == expected


@given(served, st.integers(1, 8))
def test_memory_is_bounded_and_forgets_ends_before_beginnings(
    given_out: list[tuple[bytes, int]], capacity: int
) -> None:
    one = endpoint()
    memory = PrefixMemory([one], capacity)
    for body, _ in given_out:
        memory.learn(blocks(body), one)
        assert len(memory) <= capacity
        assert memory.matched(blocks(body), [one]) == [min(capacity, len(blocks(body)))]


@given(served, served, letters, st.sets(st.integers(0, 2)))
def test_who_stays_is_remembered_and_who_is_new_was_given_nothing(
    given_out: list[tuple[bytes, int]], later: list[tuple[bytes, int]], asked: bytes, staying: set[int]
) -> None:
    before = [endpoint() for _ in range(3)]
    after = [before[index] if index in staying else endpoint() for index in range(3)]
    memory = PrefixMemory(before, 10_000)
    for body, index in given_out:
        memory.learn(blocks(body), before[index])
    kept = memory.kept(after, 10_000)
    for body, index in later:
        kept.learn(blocks(body), after[index])
    known = [(body, index) for body, index in given_out if index in staying] + later
    expected = [
        max((shared_by(blocks(body), blocks(asked)) for body, i in known if i == index), default=0)
        for index in range(3)
    ]
    assert kept.matched(blocks(asked), after) == expected
