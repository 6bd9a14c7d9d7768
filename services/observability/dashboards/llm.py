"""LLM: what the client felt, beside what the engine says, and why they differ."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from services.observability.board import GPU_PRICE, LANGUAGE_MODEL, VERSION, board
from services.observability.panels import Panel, Query, density, graph, promise
from services.observability.promql import QUANTILES, buckets, mean, quantile, total

_CLIENT = 'namespace=~"$namespace",gen_ai_request_model=~"$model",version=~"$version"'
_STREAMED = f'{_CLIENT},stream="true"'
_ENGINE = 'namespace=~"$namespace",model_name=~"$model",naru_version=~"$version"'
_AT = 'namespace=~"$namespace",model=~"$model",version=~"$version"'
_TTFT, _TPOT = "gen_ai_server_time_to_first_token_seconds", "gen_ai_server_time_per_output_token_seconds"
_ENGINE_TTFT, _ENGINE_TPOT = "vllm:time_to_first_token_seconds", "vllm:request_time_per_output_token_seconds"
_CLIENT_LABEL, _ENGINE_LABEL = "{{gen_ai_request_model}}", "{{model_name}}"


def _quantiles(metric: str, at: str, by: str, *, exemplars: bool = False) -> list[Query]:
    return [Query(quantile(q, metric, at, by=by), f"p{q * 100:g} {{{{{by}}}}}", exemplars) for q in QUANTILES]


def _felt(metric: str, at: str) -> list[Query]:
    return _quantiles(metric, at, "gen_ai_request_model", exemplars=True)


def _engines(metric: str) -> list[Query]:
    return _quantiles(metric, _ENGINE, "model_name")


def _promised(objective: str) -> Query:
    at = f'namespace=~"$namespace",model=~"$model",objective="{objective}"'
    return promise(f"max by (model) (naru_slo_threshold_seconds{{{at}}})", "promised {{model}}")


def _added(metric: str, engine: str, at: str) -> str:
    """Means add up, quantiles do not: only of means a difference says what lies between."""
    client = mean(metric, at, by="gen_ai_request_model")
    return f'label_replace({client}, "model_name", "$1", "gen_ai_request_model", "(.+)") - on (model_name) ' + (
        f"({mean(engine, _ENGINE, by='model_name')})"
    )


def _times() -> tuple[Panel, ...]:
    return (
        graph("Time to first token, client's edge", "s", "From the request's last byte at the gateway to the first "
              "content leaving it, of streamed answers. Queueing, retries and the gateway itself are in it.",
              *_felt(_TTFT, _STREAMED), _promised("ttft"), width=12),
        graph("Time to first token, engine", "s", "vLLM's own clock, of streamed and whole answers alike.",
              *_engines(_ENGINE_TTFT), width=12),
        density("Time to first token, client's edge", "s", "Requests a second by their time to the first token.",
                buckets(_TTFT, _STREAMED)),
        density("Time to first token, engine", "s", "Requests a second by vLLM's own clock.",
                buckets(_ENGINE_TTFT, _ENGINE)),
        graph("Time per output token, client's edge", "s", "(last content - first content) / (output tokens - 1) of "
              "complete streams; output tokens as the engine counted them.",
              *_felt(_TPOT, _CLIENT), _promised("tpot"), width=12),
        graph("Time per output token, engine", "s", "vLLM's own clock.", *_engines(_ENGINE_TPOT), width=12),
        density("Time per output token, client's edge", "s", "Streams a second by their time per token.",
                buckets(_TPOT, _CLIENT)),
        density("Time per output token, engine", "s", "Requests a second by vLLM's own clock.",
                buckets(_ENGINE_TPOT, _ENGINE)),
    )  # fmt: skip


def _between() -> tuple[Panel, ...]:
    return (
        graph("Gateway + network", "s", "Mean time to first token at the client's edge minus the engine's own, within "
              "the window: what lies between them. Holds where answers are streamed; whole ones have no first token.",
              Query(_added(_TTFT, _ENGINE_TTFT, _STREAMED), _ENGINE_LABEL)),
        graph("Wait for a turn, gateway", "s", "From the request's last byte to its first attempt.",
              *_felt("naru_queue_wait_seconds", _CLIENT)),
        graph("Wait for a turn, engine", "s", "Inside vLLM, before its first step.",
              *_engines("vllm:request_queue_time_seconds")),
        graph("Gap between chunks, client's edge", "s", "Every gap between two contents of a stream: a stall shows "
              "here first.", *_felt("naru_inter_token_latency_seconds", _CLIENT)),
        graph("Gap between tokens, engine", "s", "vLLM's own clock.", *_engines("vllm:inter_token_latency_seconds")),
        graph("Preemptions", "ops", "Requests that lost their KV cache to others and are computed anew.",
              Query(total("vllm:num_preemptions_total", _ENGINE, by="model_name"), _ENGINE_LABEL)),
    )  # fmt: skip


def _load() -> tuple[Panel, ...]:
    hits = total("vllm:prefix_cache_hits_total", _ENGINE, by="model_name")
    asked = total("vllm:prefix_cache_queries_total", _ENGINE, by="model_name")
    return (
        graph("Requests in the engine", "short", "Those computed, and those that wait inside vLLM.",
              Query(f"sum by (model_name) (vllm:num_requests_running{{{_ENGINE}}})", f"running {_ENGINE_LABEL}"),
              Query(f"sum by (model_name) (vllm:num_requests_waiting{{{_ENGINE}}})", f"waiting {_ENGINE_LABEL}")),
        graph("KV cache", "percentunit", "The fullest engine of each model: at 1 it preempts.",
              Query(f"max by (model_name) (vllm:kv_cache_usage_perc{{{_ENGINE}}})", _ENGINE_LABEL)),
        graph("Prefix cache", "percentunit", "Share of the prompts' tokens that were in the cache.",
              Query(f"{hits} / {asked}", _ENGINE_LABEL)),
        graph("Tokens", "short", "Tokens a second of finished requests, as they are charged.",
              Query(total("naru_tokens_total", _AT, by="model, type"), "{{model}} {{type}}")),
        graph("Tokens, engine", "short", "Tokens a second as they are computed.",
              Query(total("vllm:generation_tokens_total", _ENGINE, by="model_name"), f"output {_ENGINE_LABEL}"),
              Query(total("vllm:prompt_tokens_total", _ENGINE, by="model_name"), f"input {_ENGINE_LABEL}")),
        graph("Tokens of a request", "short", "Median and p99 of prompts and of answers.",
              *(Query(quantile(q, "gen_ai_client_token_usage", _CLIENT, by="gen_ai_token_type"),
                      f"p{q * 100:g} {{{{gen_ai_token_type}}}}") for q in (0.5, 0.99))),
    )  # fmt: skip


def _cost() -> tuple[Panel, ...]:
    tokens = total("naru_tokens_total", _AT, by="model")
    charged = total("naru_cost_total", _AT, by="model, currency")
    everything = total("naru_tokens_total", 'namespace=~"$namespace"')
    gpus = 'count (DCGM_FI_DEV_GPU_UTIL{namespace=~"$namespace"})'
    return (
        graph("Charged for 1,000 tokens", "short", "What tenants are charged at the registry's prices, in the "
              "currency of each; only models with a price.",
              Query(f"1000 * {charged} / on (model) group_left () ({tokens})", "{{model}} {{currency}}"), width=12),
        graph("Paid for 1,000 tokens", "short", "What the GPUs of the namespace's pods cost at the price above, for "
              "each 1,000 tokens of all its models.",
              Query(f"1000 * {gpus} * $gpu_price / 3600 / ({everything})", "all models"), width=12),
    )  # fmt: skip


def llm() -> Dashboard:
    return board(
        "llm", "LLM", "Language models: the client's clocks beside the engine's own.",
        (LANGUAGE_MODEL, VERSION, GPU_PRICE),
        ("What users feel", _times()), ("In between", _between()), ("The engine", _load()), ("Cost", _cost()),
    )  # fmt: skip
