"""Settings of the LLM service, read from `NARU_LLM__*` variables."""

from pathlib import Path
from typing import Literal

from pydantic import Field, HttpUrl

from services.common.settings import Section, ServiceSettings

Dtype = Literal["auto", "bfloat16", "float16", "float32"]


class LlmSection(Section):
    """What vLLM is started with."""

    host: str = "127.0.0.1"
    """Address to listen on. vLLM itself asks for no key: only the gateway belongs in front of clients."""
    port: int = Field(default=8100, ge=1, le=65535)
    """Port to listen on."""
    model: str = "packaged:smollm2-135m-instruct"
    """`packaged:<name>`, `hf:<organisation>/<name>[@<revision>]`, `s3://<bucket>/<prefix>` or a folder's path."""
    served_name: str = "smollm2-135m-instruct"
    """The model's name in requests and answers."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes the GPU when there is one and the installed vLLM can use it."""
    dtype: Dtype = "auto"
    """Type of the weights and activations; `auto` keeps what the model was saved in, unless a processor is slow in it:
    then float32."""
    max_model_len: int | None = Field(default=None, ge=16)
    """Tokens of a prompt and its answer together; unset means what the model was trained for."""
    kv_cache: int | None = Field(default=None, ge=1)
    """GiB for the KV cache; unset means 1 on a CPU, and on a GPU what vLLM finds free."""
    max_num_seqs: int = Field(default=16, ge=1)
    """Requests computed in one step; further ones wait."""
    max_requests: int = Field(default=128, ge=1)
    """Requests held at once, computed or waiting; a further one is answered 503."""
    drain_timeout: int = Field(default=30, ge=0)
    """Seconds that running requests may go on after SIGTERM."""
    eager: bool | None = None
    """Skip compilation; unset means eager on a CPU (ready sooner) and compiled on a GPU (more tokens a second)."""
    tool_parser: str | None = "hermes"
    """Parser that finds tool calls in an answer (`--tool-call-parser`); unset refuses `tool_choice: auto`."""
    tool_strictness: Literal["auto", "function", "parameter"] = "parameter"
    """What a tool call is held to: the request's own `strict`, the call's frame, or its parameters' schema as well."""
    lora: dict[str, Path] = Field(default={})
    """LoRA adapters, served name to folder: `NARU_LLM__LORA='{"support": "/models/support-lora"}'`."""
    traces: HttpUrl | None = None
    """The OpenTelemetry collector that takes OTLP over HTTP, such as http://collector:4318: the engine's spans join the
    gateway's traces. Without one the engine makes none."""
    extra_args: tuple[str, ...] = ()
    """Further vLLM arguments, last on its command line: `NARU_LLM__EXTRA_ARGS='["--seed", "7"]'`."""


class Settings(ServiceSettings):
    """`NARU_LLM__PORT=8100`, `NARU_LLM__MODEL=hf:Qwen/Qwen3-0.6B`, and so on."""

    llm: LlmSection = LlmSection()
