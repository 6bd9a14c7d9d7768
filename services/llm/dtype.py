"""The type that vLLM computes in. Pure: the processor, the memory and the weights are passed in."""

from dataclasses import dataclass

from services.llm.arguments import Device
from services.llm.settings import Dtype
from services.llm.weights import Weights

_FAST: dict[str, frozenset[str]] = {
    "bfloat16": frozenset({"avx512_bf16", "amx_bf16", "avx_ifma"}),
    "float16": frozenset({"avx512_fp16", "amx_fp16", "avx_ifma"}),
}
"""The processor's flags, one of which says that oneDNN, which multiplies for vLLM, is fast in a type. From "Hardware
Limitations" in oneDNN's page on data types: without one it has no such product, or one 3 to 4 times slower than in
float32. AVX-NE-CONVERT, which does without AVX-512, has no flag in Linux; AVX-IFMA came to processors along with it."""
_SHARE = 0.25
"""Of the memory, which float32 weights may take: a model that fits as it was saved must not end up outside."""


@dataclass(frozen=True)
class Machine:
    flags: frozenset[str]
    """Of an x86 processor, as Linux names them; empty where it is another one."""
    memory: float
    """Bytes."""


@dataclass(frozen=True)
class Choice:
    dtype: Dtype
    why: str | None = None
    """For the log; None where nothing was chosen."""


def choose(wanted: Dtype, device: Device, machine: Machine, weights: Weights | None) -> Choice:
    """What `auto` is on this machine: float32 where the processor is slow in vLLM's own choice, and the weights fit."""
    if wanted != "auto" or device != "cpu" or not machine.flags or weights is None:
        return Choice(wanted)
    # vLLM's own choice on a processor: what the model was saved in, but never float32.
    own: Dtype = "bfloat16" if weights.dtype == "float32" else weights.dtype
    if machine.flags & _FAST[own]:
        return Choice("auto")
    if weights.float32_size > _SHARE * machine.memory:
        return Choice("auto", (
            f"computing in {own}: this processor would be quicker to the first token in float32, but the weights would "
            f"take {_gib(weights.float32_size)}, more than a quarter of {_gib(machine.memory)} of memory; "
            "NARU_LLM__DTYPE=float32 tries it"
        ))  # fmt: skip
    return Choice("float32", (
        f"computing in float32: this processor has no fast matrix products in {own}; NARU_LLM__DTYPE={own} overrides"
    ))  # fmt: skip


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
