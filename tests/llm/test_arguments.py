from pathlib import Path

from services.llm.arguments import Command, Device, command
from services.llm.references import Model
from services.llm.settings import LlmSection

CACHE = Path("/cache")
LOCAL = Model("/models/m", local=True)


def built(settings: LlmSection, model: Model = LOCAL, device: Device = "cpu") -> Command:
    return command(settings, model, device, "auto", CACHE)


def value(arguments: tuple[str, ...], flag: str) -> str:
    return arguments[arguments.index(flag) + 1]


def test_the_defaults_serve_one_model_on_this_machine_only() -> None:
    arguments = built(LlmSection()).arguments
    assert value(arguments, "--model") == "/models/m"
    assert value(arguments, "--served-model-name") == "smollm2-135m-instruct"
    assert value(arguments, "--host") == "127.0.0.1"
    assert value(arguments, "--port") == "8100"
    assert "--max-model-len" not in arguments
    assert "--enable-lora" not in arguments


def test_vllm_is_told_the_type_that_was_chosen() -> None:
    assert value(command(LlmSection(), LOCAL, "cpu", "float32", CACHE).arguments, "--dtype") == "float32"


def test_queue_and_drain_are_bounded() -> None:
    arguments = built(LlmSection(max_num_seqs=4, max_requests=9, drain_timeout=7)).arguments
    assert value(arguments, "--max-num-seqs") == "4"
    assert value(arguments, "--max-num-queued-reqs") == "9"
    assert value(arguments, "--shutdown-timeout") == "7"


def test_tools_are_accepted_unless_the_parser_is_unset() -> None:
    assert value(built(LlmSection()).arguments, "--tool-call-parser") == "hermes"
    assert value(built(LlmSection()).arguments, "--tool-strict-level") == "parameter"
    assert "--enable-auto-tool-choice" in built(LlmSection()).arguments
    assert "--enable-auto-tool-choice" not in built(LlmSection(tool_parser=None)).arguments


def test_a_cpu_is_eager_and_a_gpu_compiles_unless_told() -> None:
    eager = "--enforce-eager"
    assert eager in built(LlmSection()).arguments
    assert eager not in built(LlmSection(), device="cuda").arguments
    assert eager not in built(LlmSection(eager=False)).arguments
    assert eager in built(LlmSection(eager=True), device="cuda").arguments


def test_the_kv_cache_is_bounded_in_the_way_each_device_knows() -> None:
    assert built(LlmSection()).environment["VLLM_CPU_KVCACHE_SPACE"] == "1"
    assert built(LlmSection(kv_cache=3)).environment["VLLM_CPU_KVCACHE_SPACE"] == "3"
    on_gpu = built(LlmSection(kv_cache=3), device="cuda")
    assert value(on_gpu.arguments, "--kv-cache-memory-bytes") == str(3 * 2**30)
    assert "VLLM_TARGET_DEVICE" not in on_gpu.environment
    assert "--kv-cache-memory-bytes" not in built(LlmSection(), device="cuda").arguments


def test_adapters_are_served_by_name() -> None:
    arguments = built(LlmSection(lora={"a": Path("/lora/a"), "b": Path("/lora/b")})).arguments
    start = arguments.index("--lora-modules")
    assert "--enable-lora" in arguments
    assert arguments[start + 1 : start + 3] == ("a=/lora/a", "b=/lora/b")


def test_extra_arguments_come_last_so_that_they_win() -> None:
    assert built(LlmSection(extra_args=("--port", "1"))).arguments[-2:] == ("--port", "1")


def test_a_local_model_needs_no_hub_and_nothing_is_reported_home() -> None:
    environment = built(LlmSection()).environment
    assert environment["HF_HUB_OFFLINE"] == environment["TRANSFORMERS_OFFLINE"] == "1"
    assert environment["VLLM_NO_USAGE_STATS"] == environment["DO_NOT_TRACK"] == "1"
    assert environment["VLLM_CACHE_ROOT"] == "/cache/vllm"
    assert environment["PYTHONDONTWRITEBYTECODE"] == ""
    assert "HF_HUB_OFFLINE" not in built(LlmSection(), Model("s3://b/m", local=False)).environment
