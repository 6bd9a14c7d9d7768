"""`NARU_LLM__DTYPE=auto` takes float32 where the processor is slow in what vLLM would take, and the weights fit."""

import pytest

from services.llm.dtype import Choice, Machine, choose
from services.llm.weights import SavedIn, Weights

GIB = 2**30
AVX2 = frozenset({"sse4_2", "avx", "avx2", "fma", "f16c"})
SKYLAKE = AVX2 | {"avx512f", "avx512bw", "avx512dq", "avx512vl"}
ZEN_4 = SKYLAKE | {"avx512_bf16"}
SAPPHIRE_RAPIDS = ZEN_4 | {"avx512_fp16", "amx_bf16"}
LUNAR_LAKE = AVX2 | {"avx_vnni", "avx_ifma"}


def chosen(flags: frozenset[str], saved: SavedIn, *, size: float = 1.0, memory: float = 16.0) -> Choice:
    """Sizes in GiB."""
    return choose("auto", "cpu", Machine(flags, memory * GIB), Weights(saved, int(size * GIB)))


@pytest.mark.parametrize(
    ("flags", "saved", "dtype"),
    [
        (AVX2, "bfloat16", "float32"), (AVX2, "float16", "float32"), (AVX2, "float32", "float32"),
        (SKYLAKE, "bfloat16", "float32"),
        (ZEN_4, "bfloat16", "auto"), (ZEN_4, "float16", "float32"), (ZEN_4, "float32", "auto"),
        (SAPPHIRE_RAPIDS, "bfloat16", "auto"), (SAPPHIRE_RAPIDS, "float16", "auto"),
        (LUNAR_LAKE, "bfloat16", "auto"), (LUNAR_LAKE, "float16", "auto"),
    ],
)  # fmt: skip
def test_a_type_is_kept_where_the_processor_is_quick_in_it(flags: frozenset[str], saved: SavedIn, dtype: str) -> None:
    assert chosen(flags, saved).dtype == dtype


def test_the_choice_says_why_and_what_overrides_it() -> None:
    why = chosen(AVX2, "bfloat16").why
    assert why is not None
    assert "float32" in why
    assert "NARU_LLM__DTYPE=bfloat16" in why
    assert chosen(ZEN_4, "bfloat16").why is None


def test_a_model_that_would_take_more_than_a_quarter_of_the_memory_stays_as_it_is_and_that_is_said() -> None:
    assert chosen(AVX2, "bfloat16", size=4.0, memory=16.0).dtype == "float32"
    large = chosen(AVX2, "bfloat16", size=4.1, memory=16.0)
    assert large.dtype == "auto"
    assert large.why is not None
    assert "4.1 GiB" in large.why
    assert "16.0 GiB" in large.why
    assert "NARU_LLM__DTYPE=float32" in large.why


def test_what_was_told_a_gpu_and_what_is_unknown_are_left_alone() -> None:
    laptop, weights = Machine(AVX2, 16 * GIB), Weights("bfloat16", GIB)
    assert choose("bfloat16", "cpu", laptop, weights) == Choice("bfloat16")
    assert choose("auto", "cuda", laptop, weights) == Choice("auto")
    assert choose("auto", "cpu", Machine(frozenset(), 16 * GIB), weights) == Choice("auto")
    assert choose("auto", "cpu", laptop, None) == Choice("auto")
