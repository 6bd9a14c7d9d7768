"""vLLM's command line and environment, computed from settings. Pure: nothing is read or looked up here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from services.llm.references import Model
from services.llm.settings import Dtype, LlmSection

Device = Literal["cpu", "cuda"]

_DEFAULT_CPU_KV_CACHE = 1
"""GiB: 46,000 tokens of SmolLM2-135M, while vLLM's own default is half of a small laptop's memory."""


@dataclass(frozen=True)
class Command:
    arguments: tuple[str, ...]
    """After `python -m vllm.entrypoints.openai.api_server`."""
    environment: dict[str, str]
    """To be laid over the process's own."""


def command(settings: LlmSection, model: Model, device: Device, dtype: Dtype, cache: Path) -> Command:
    """How vLLM is started for these settings; `dtype` is what the settings' came to here, and compiled graphs are kept
    under `cache`."""
    return Command(tuple(_arguments(settings, model, device, dtype)), _environment(settings, model, device, cache))


def _arguments(settings: LlmSection, model: Model, device: Device, dtype: Dtype) -> list[str]:
    arguments = [
        *("--model", model.location),
        *("--served-model-name", settings.served_name),
        *("--host", settings.host),
        *("--port", str(settings.port)),
        *("--dtype", dtype),
        *("--max-num-seqs", str(settings.max_num_seqs)),
        *("--max-num-queued-reqs", str(settings.max_requests)),
        *("--shutdown-timeout", str(settings.drain_timeout)),
        # One request is one name everywhere: the gateway sends its x-request-id.
        "--enable-request-id-headers",
        "--enable-prompt-tokens-details",
        # The gateway logs and measures every request; a second line for each is noise.
        "--disable-uvicorn-access-log",
    ]
    if settings.max_model_len is not None:
        arguments += ["--max-model-len", str(settings.max_model_len)]
    if settings.kv_cache is not None and device == "cuda":
        arguments += ["--kv-cache-memory-bytes", str(settings.kv_cache * 2**30)]
    if settings.eager if settings.eager is not None else device == "cpu":
        arguments.append("--enforce-eager")
    if settings.tool_parser is not None:
        arguments += ["--enable-auto-tool-choice", "--tool-call-parser", settings.tool_parser]
        arguments += ["--tool-strict-level", settings.tool_strictness]
    if settings.lora:
        adapters = [f"{name}={path.absolute()}" for name, path in settings.lora.items()]
        arguments += ["--enable-lora", "--lora-modules", *adapters]
    if settings.traces is not None:
        arguments += ["--otlp-traces-endpoint", f"{str(settings.traces).rstrip('/')}/v1/traces"]
    return [*arguments, *settings.extra_args]


def _environment(settings: LlmSection, model: Model, device: Device, cache: Path) -> dict[str, str]:
    environment = {
        "VLLM_CACHE_ROOT": str(cache / "vllm"),
        "TORCHINDUCTOR_CACHE_DIR": str(cache / "inductor"),
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_LOGGING_COLOR": "0",
        # Three processes import the same modules: without bytecode each compiles them for twenty seconds.
        "PYTHONDONTWRITEBYTECODE": "",
    }
    if device == "cpu":
        environment["VLLM_TARGET_DEVICE"] = "cpu"
        environment["VLLM_CPU_KVCACHE_SPACE"] = str(settings.kv_cache or _DEFAULT_CPU_KV_CACHE)
    if settings.traces is not None:
        environment |= {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf", "OTEL_SERVICE_NAME": "naru-llm"}
    if model.local:
        environment |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    return environment
