"""A labelled probe set, and a version's answers to it, through the gateway, by the version's name."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import httpx
from pydantic import SecretStr, ValidationError, model_validator

from services.common.settings import Section
from services.rollout.errors import RefusedError

BATCH = 32
"""Texts of one sentiment request."""
TRIES = 5
LONGEST_PAUSE = 10.0
_AGAIN = frozenset({429, 503})


class Probe(Section):
    """One line of the file: a question of its task and the answer that is right."""

    input: str | None = None
    """Sentiment: a text."""
    label: str | None = None
    """Its sentiment."""
    prompt: str | None = None
    """Chat: a question."""
    user_id: str | None = None
    """Recommendation: who asks."""
    history: tuple[str, ...] | None = None
    """Recommendation: or what they had."""
    expect: str | None = None
    """Chat: what the answer must contain, in any case; recommendation: an item that must be among them."""
    max_tokens: int = 64
    k: int = 10

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        task = self.task
        if (self.label if task == "sentiment" else self.expect) is None:
            raise ValueError("give input and label, prompt and expect, or user_id or history and expect")
        return self

    @property
    def task(self) -> str:
        if self.input is not None:
            return "sentiment"
        return "chat" if self.prompt is not None else "recommendation"


def read_probes(path: Path, task: str) -> list[Probe]:
    """Raises RefusedError, which names the line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"{path}: {error}") from None
    probes = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            probe = Probe.model_validate_json(line)
        except ValidationError as error:
            raise RefusedError(f"{path}, line {number}: {error.errors()[0]['msg']}") from None
        if probe.task != task:
            raise RefusedError(f"{path}, line {number}: a probe for {probe.task}, but the model does {task}")
        probes.append(probe)
    if not probes:
        raise RefusedError(f"{path} has no probe")
    return probes


class Examiner:
    """Asks one model of one gateway."""

    def __init__(
        self, gateway: str, key: SecretStr | None, model: str, pause: Callable[[float], None] = time.sleep
    ) -> None:
        headers = {"authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        # What is kept in a cache says nothing of a version.
        headers["cache-control"] = "no-store"
        self._client = httpx.Client(base_url=gateway, headers=headers, timeout=120)
        self._model, self._pause = model, pause

    def close(self) -> None:
        self._client.close()

    def right(self, version: str, probes: Sequence[Probe]) -> Iterator[bool | None]:
        """In order, whether each answer is; None where there was none. Raises RefusedError."""
        if probes[0].task == "sentiment":
            for first in range(0, len(probes), BATCH):
                yield from self._sentiments(version, probes[first : first + BATCH])
            return
        ask = self._chat if probes[0].task == "chat" else self._recommendation
        for probe in probes:
            yield ask(version, probe)

    def _sentiments(self, version: str, probes: Sequence[Probe]) -> list[bool | None]:
        answer = self._ask(version, "/v1/sentiment", {"input": [probe.input for probe in probes]})
        if answer is None:
            return [None] * len(probes)
        return [probe.label == each["label"] for probe, each in zip(probes, answer["results"], strict=True)]

    def _chat(self, version: str, probe: Probe) -> bool | None:
        messages = [{"role": "user", "content": probe.prompt}]
        body = {"messages": messages, "max_tokens": probe.max_tokens, "temperature": 0}
        answer = self._ask(version, "/v1/chat/completions", body)
        if answer is None:
            return None
        text = answer["choices"][0]["message"]["content"] or ""
        return (probe.expect or "").casefold() in text.casefold()

    def _recommendation(self, version: str, probe: Probe) -> bool | None:
        who = {"user_id": probe.user_id} if probe.user_id is not None else {"history": probe.history}
        answer = self._ask(version, "/v1/recommendations", {**who, "k": probe.k})
        return None if answer is None else any(item["id"] == probe.expect for item in answer["items"])

    def _ask(self, version: str, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """None where the version has no answer."""
        for _ in range(TRIES):
            try:
                answer = self._client.post(
                    path, json={"model": self._model, **body}, headers={"x-naru-version": version}
                )
            except httpx.HTTPError as error:
                raise RefusedError(
                    f"the gateway at {self._client.base_url} does not answer the probes: {error}"
                ) from None
            if answer.status_code not in _AGAIN:
                break
            self._pause(min(float(answer.headers.get("retry-after", 1)), LONGEST_PAUSE))
        if answer.status_code in (401, 403, 404):
            raise RefusedError(f"the gateway refuses the probes ({answer.status_code}): {_message(answer)}")
        found: dict[str, Any] | None = answer.json() if answer.status_code == 200 else None
        return found


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return answer.text[:200]
