"""Mid-stream migration: a chat stream whose engine died is continued elsewhere from the text already sent.

The next engine gets the conversation with the text so far as the assistant's unfinished message (vLLM's
`continue_final_message`), and its chunks are written again as if the first engine had gone on: same id, no second role,
usage added up. See docs/decisions for what "added up" means.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from services.gateway.relay.bodies import Fields, fields_of, raw
from services.gateway.relay.dialects import Reading
from services.gateway.relay.sse import payload

CHAT_PATH = "/v1/chat/completions"
_HARMLESS: dict[str, tuple[Any, ...]] = {
    "n": (1,), "logprobs": (False,), "prompt_logprobs": (), "top_logprobs": (0,), "tools": ([],),
    "tool_choice": ("none",), "functions": ([],), "function_call": ("none",), "echo": (False,),
    "add_generation_prompt": (True,), "continue_final_message": (False,), "use_beam_search": (False,),
    "response_format": ({"type": "text"},), "structured_outputs": (), "guided_json": (), "guided_regex": (),
    "guided_choice": (), "guided_grammar": (), "return_token_ids": (False,), "return_tokens_as_token_ids": (False,),
    "truncate_prompt_tokens": (), "kv_transfer_params": (), "modalities": (["text"],), "audio": (),
}  # fmt: skip
"""Fields whose answer can't be continued from its text alone, with the values (beside null) that can."""
_RESERVES = (("max_tokens", 1), ("max_completion_tokens", 1), ("min_tokens", 0))
"""Limits on the output, less what was generated already, and the least that they may become."""


SEAM, _QUOTE = b'"', b"\xfe"
"""What stands between the texts of two events, and what for itself: a byte that no UTF-8 holds. A JSON string's opening
quote is a seam for nothing."""


class Transcript:
    """What of one stream has reached the client: all that is needed to continue it."""

    __slots__ = ("_first", "finished", "longest", "plain", "said")

    def __init__(self, longest: int) -> None:
        """`longest`: bytes that are remembered."""
        self.longest = longest
        self.said = bytearray()
        """The text, in UTF-8: each event's behind a `SEAM`."""
        self._first = b""
        self.plain = True
        """There was text and nothing else, and all of it is remembered."""
        self.finished = False
        """The stream has said why it ended."""

    def add(self, data: bytes, reading: Reading) -> None:
        """An event's data as it goes to the client, and what it means."""
        if not self._first:
            self._first = data
        if reading.content and self.plain:
            text = None if reading.text is None else reading.text.encode()
            if text is None or len(self.said) + 1 + len(text) > self.longest:
                self.plain, self.said = False, bytearray()
            else:
                self.said += SEAM + text.replace(SEAM, _QUOTE)
        if reading.finished:
            self.finished = True

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def pieces(self) -> list[str]:
        """Each event's text: a token's, where an engine sends each token by itself."""
        return [piece.replace(_QUOTE, SEAM).decode() for piece in self.said.split(SEAM)[1:]]

    def identity(self) -> Fields:
        """What every chunk of one answer has in common."""
        try:
            fields = fields_of(self._first)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return {}
        return {name: fields[name] for name in ("id", "created", "model", "system_fingerprint") if name in fields}


def conversation(body: bytes) -> list[msgspec.Raw] | None:
    """The messages of a request whose answer can be continued; None where it can't be."""
    fields = fields_of(body)
    for name, allowed in _HARMLESS.items():
        if name in fields and (value := msgspec.json.decode(fields[name])) is not None and value not in allowed:
            return None
    try:
        messages = msgspec.json.decode(fields.get("messages", b"null"), type=list[msgspec.Raw])
        last = msgspec.json.decode(messages[-1], type=dict[str, Any]) if messages else {}
    except msgspec.ValidationError:
        return None
    return None if last.get("role") == "assistant" else messages


@dataclass(frozen=True, slots=True)
class Continuation:
    """A request for the rest of an answer."""

    body: bytes
    messages: list[msgspec.Raw]
    text: str

    def count_request(self, text: str | None = None) -> bytes:
        """For an engine's `/tokenize`: the conversation, or a text by itself."""
        fields = fields_of(self.body)
        if text is not None:
            plain = {"prompt": raw(text), "add_special_tokens": raw(False)}
            return msgspec.json.encode({"model": fields["model"], **plain} if "model" in fields else plain)
        asked = {name: fields[name] for name in ("model", "chat_template_kwargs", "chat_template") if name in fields}
        return msgspec.json.encode({**asked, "messages": raw(self.messages)})

    def request(self, spent: int) -> bytes:
        """The request's body, given the tokens of the text so far. Without any text it is the request as it was."""
        if not self.text:
            return self.body
        fields = {**fields_of(self.body), **self._open_end()}
        for name, least in _RESERVES:
            limit = msgspec.json.decode(fields[name]) if name in fields else None
            if isinstance(limit, int):
                fields[name] = raw(max(least, limit - spent))
        return msgspec.json.encode(fields)

    def _open_end(self) -> Fields:
        if not self.text:
            return {"messages": raw(self.messages)}
        messages = [*self.messages, raw({"role": "assistant", "content": self.text})]
        return {
            "messages": raw(messages), "continue_final_message": raw(True), "add_generation_prompt": raw(False),
        }  # fmt: skip


class Splice:
    """Writes the next engine's events again as if they were the first one's."""

    def __init__(self, identity: Fields, prompt: int | None, spent: int) -> None:
        """`prompt` and `spent`: the tokens of the conversation and of the text before the seam."""
        self._identity, self._prompt, self._spent = identity, prompt, spent

    def event(self, event: bytes) -> bytes | None:
        """None for an event that the client has had already: the role."""
        data = payload(event)
        try:
            chunk = msgspec.json.decode(data, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return event  # [DONE], a comment: nothing in it is the engine's own
        if "error" in chunk:
            return event
        for choice in chunk.get("choices") or []:
            self._continue(choice)
        if not chunk.get("usage") and not any(_says_something(choice) for choice in chunk.get("choices") or []):
            return None
        if isinstance(chunk.get("usage"), dict):
            chunk["usage"] = self._usage(chunk["usage"])
        chunk.update(self._identity)
        return b"data: %b\n\n" % msgspec.json.encode(chunk)

    @staticmethod
    def _continue(choice: dict[str, Any]) -> None:
        delta = choice.get("delta")
        if isinstance(delta, dict):
            delta.pop("role", None)

    def _usage(self, usage: dict[str, Any]) -> dict[str, Any]:
        total_prompt, completion = usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0) + self._spent
        prompt = total_prompt - self._spent if self._prompt is None else self._prompt
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _says_something(choice: dict[str, Any]) -> bool:
    return bool(choice.get("finish_reason")) or any((choice.get("delta") or {}).values())
