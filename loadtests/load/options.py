"""What a load test can be told beyond locust's own options."""

import argparse
import math
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from loadtests.load.prompts import MIXES, Generated, Prompts, ShareGpt, fixed
from loadtests.load.shapes import Shape
from services.common.durations import Duration


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--key", env_var="NARU_API_KEY", default="", help="API key", is_secret=True)
    group = parser.add_argument_group("Naru", "What is asked of the gateway, and what it is held against.")
    group.add_argument("--load", choices=list(map(str, Shape)), default="ramp", help="how users come and go")
    group.add_argument(
        "--arrivals", type=float, default=0.0,
        help="open loop: requests a second of each user, at random; 0: each waits for its answers",
    )  # fmt: skip
    group.add_argument(
        "--burstiness", type=_above_zero, default=1.0,
        help="of arrivals: 1 is Poisson, more is evener, less comes in bursts (vllm bench serve's)",
    )  # fmt: skip
    group.add_argument(
        "--think", type=float, default=1.0, help="seconds a user thinks between two requests, on average"
    )
    group.add_argument("--mix", choices=list(MIXES), default="chat", help="lengths of messages and answers")
    group.add_argument("--words", type=int, default=0, help="words of each message, with --tokens in place of a mix")
    group.add_argument("--tokens", type=int, default=0, help="tokens of each answer")
    group.add_argument("--prefixes", type=int, default=8, help="system prompts that conversations share; 0 for none")
    group.add_argument("--prefix-words", type=int, default=150, help="words of each of them")
    group.add_argument("--prompts", type=Path, default=None, help="a file in ShareGPT's format in place of a mix")
    group.add_argument("--seed", type=int, default=1, help="the same seed asks the same")
    group.add_argument("--ignore-eos", action="store_true", help="answers as long as asked for (vLLM's option)")
    group.add_argument("--timeout", type=float, default=120.0, help="seconds after which an answer is given up")
    group.add_argument("--grpc", default="127.0.0.1:8081", help="host:port for GrpcChatUser")
    group.add_argument("--registry", type=Path, default=None, help="registry whose objectives are to hold")
    group.add_argument("--ttft", type=duration, default=None, help="objective for chat in place of the registry's: 2s")
    group.add_argument("--tpot", type=duration, default=None, help="the same: 250ms")
    group.add_argument("--quantile", type=float, default=0.95, help="at which TTFT and TPOT are to hold")
    group.add_argument("--dwell", type=float, default=5.0, help="seconds that each level of the knee is measured")
    group.add_argument("--out", type=Path, default=Path("build/load"), help="folder of the report")


def duration(text: str) -> float:
    """Seconds. Raises argparse's error for what is no duration."""
    try:
        return TypeAdapter(Duration).validate_python(text)
    except ValidationError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration above 0 such as 500ms or 2s") from None


def prompts(options: argparse.Namespace) -> Prompts:
    """Raises PromptError."""
    if options.prompts is not None:
        return ShareGpt(options.prompts)
    kinds = fixed(options.words, options.tokens) if options.words and options.tokens else MIXES[options.mix]
    return Generated(kinds, options.seed, options.prefixes, options.prefix_words)


def _above_zero(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError("must be more than 0")
    return value
