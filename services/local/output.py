"""What `naru up` prints, and the log files it keeps."""

import logging
import sys
from logging.handlers import RotatingFileHandler

from services.local import state
from services.local.plan import Plan

COLOURS = {"gateway": 36, "sentiment": 35, "recommendation": 33, "llm": 32, "naru": 1}
WIDTH = max(map(len, COLOURS))
LOG_BYTES = 10 * 2**20
"""A log file's size; one older file is kept beside it."""


class Output:
    """Lines with their service's name before them, on standard output and in a file per service."""

    def __init__(self, names: tuple[str, ...]) -> None:
        state.logs().mkdir(parents=True, exist_ok=True)
        self._files = {name: _file(name) for name in (*names, "naru")}
        self._colour = sys.stdout.isatty()

    def say(self, name: str, line: str) -> None:
        print(prefixed(name, line, colour=self._colour), flush=True)
        self._files[name].emit(logging.makeLogRecord({"msg": line}))

    def tell(self, line: str) -> None:
        self.say("naru", line)

    def ready(self, plan: Plan, key: str) -> None:
        for line in welcome(plan, key).splitlines():
            self.tell(line)


def prefixed(name: str, line: str, *, colour: bool) -> str:
    padded = name.ljust(WIDTH)
    return f"\x1b[{COLOURS.get(name, 0)}m{padded} |\x1b[0m {line}" if colour else f"{padded} | {line}"


def _file(name: str) -> RotatingFileHandler:
    path = state.logs() / f"{name}.log"
    begun = path.exists()
    handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")
    if begun:
        handler.doRollover()  # each `up` begins a file
    return handler


def welcome(plan: Plan, key: str) -> str:
    """The address, the key and a request per surface."""
    chat = next((name for name, task in plan.models.items() if task == "chat"), None)
    tasks = set(plan.models.values())
    bodies = []
    if chat:
        messages = '[{"role": "user", "content": "What is a ferry?"}]'
        body = f'{{"model": "{chat}", "stream": true, "max_tokens": 64, "messages": {messages}}}'
        bodies.append(("/v1/chat/completions", body))
    if "sentiment" in tasks:
        bodies.append(("/v1/sentiment", '{"input": ["What a lovely ferry ride!", "정말 지루한 영화였다"]}'))
    if "recommendation" in tasks:
        bodies.append(("/v1/recommendations", '{"user_id": "196", "k": 5}'))
    lines = ["", "Naru is ready.", f"  address   {plan.gateway}   (documentation: {plan.gateway}/docs)"]
    lines += [f"  gRPC      {plan.grpc}"] if plan.grpc else []
    lines += [f"  metrics   {plan.admin}/metrics", f"  API key   {key}", ""]
    for path, body in bodies:
        flag = " -N" if "stream" in body else ""
        lines.append(f"  curl{flag} {plan.gateway}{path} -H 'Authorization: Bearer {key}' \\")
        lines.append(f"    -H 'Content-Type: application/json' -d '{body}'")
    return "\n".join([*lines, ""])
