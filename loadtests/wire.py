"""What a load test sends, and the one right answer to it: the mock engine writes it, the load compares with it.

Each stream carries a tag of its own (the request's `user`, the answer's `id`) and numbers its tokens, so that a lost,
reordered or crossed event is seen.
"""

import json
from dataclasses import dataclass

KEY = "sk-loadtest"
MODEL = "mock"
PATH = "/v1/chat/completions"
NO_TAG = b"--------"
"""A tag's place and length: 8 bytes."""
USER = b'"user":"'
CONTENT = b'"content":" '
"""Begins each content token, and nothing else."""
STREAMED = b'"stream":true'
USAGE_WANTED = b'"include_usage":true'
LAST_CHUNK = b"0\r\n\r\n"
MESSAGES = [{"role": "user", "content": "Say something about ferries."}]
EVENT = (
    b'data: {"id":"chatcmpl---------","object":"chat.completion.chunk","created":1700000000,"model":"mock",'
    b'"choices":[{"index":0,"delta":%b,"logprobs":null,"finish_reason":%b}]}\n\n'
)
ROLE = EVENT % (b'{"role":"assistant","content":""}', b"null")
STOP = EVENT % (b"{}", b'"stop"')
USAGE = (
    b'data: {"id":"chatcmpl---------","object":"chat.completion.chunk","created":1700000000,"model":"mock",'
    b'"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":%d,"total_tokens":%d}}\n\n'
)
DONE = b"data: [DONE]\n\n"
WHOLE = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"mock","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"ok"},"logprobs":null,"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}'
)
"""The answer to every request that is not streamed."""


class BrokenAnswer(Exception):
    """An answer that is not the one right answer, or did not come."""


@dataclass(frozen=True, slots=True)
class Script:
    """A streamed answer of so many tokens, as events with `NO_TAG` where the tag goes."""

    tokens: int

    def token(self, number: int) -> bytes:
        return EVENT % (b'{"content":" %d"}' % number, b"null")

    def end(self, usage: bool) -> bytes:
        counted = USAGE % (self.tokens, 9 + self.tokens) if usage else b""
        return STOP + counted + DONE

    def answer(self, tag: bytes) -> bytes:
        """What a client that asked for no usage gets."""
        events = ROLE + b"".join(self.token(number) for number in range(self.tokens)) + self.end(usage=False)
        return events.replace(NO_TAG, tag)


def request(body: dict[str, object], path: str = PATH, key: str = KEY, host: str = "127.0.0.1") -> bytes:
    data = json.dumps(body, separators=(",", ":")).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


def whole_request(key: str = KEY) -> bytes:
    return request({"model": MODEL, "messages": MESSAGES}, key=key)


def stream_request() -> bytes:
    """With `NO_TAG` where the tag goes."""
    return request({"model": MODEL, "messages": MESSAGES, "stream": True, "user": NO_TAG.decode()})


def chunk(data: bytes) -> bytes:
    """One chunk of a body in HTTP/1.1's chunked coding (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def unchunked(data: bytes) -> bytes:
    """The body of an answer in the chunked coding, whole and nothing after it. Raises BrokenAnswer."""
    parts, at = [], 0
    while True:
        line = data.find(b"\r\n", at)
        try:
            size = int(data[at:line], 16)
        except ValueError:
            raise BrokenAnswer(f"no chunk size at byte {at}: {data[at : at + 60]!r}") from None
        begin, at = line + 2, line + 4 + size
        if data[at - 2 : at] != b"\r\n":
            raise BrokenAnswer(f"a chunk of {size} bytes has no end at byte {at}")
        if not size:
            break
        parts.append(data[begin : begin + size])
    if at != len(data):
        raise BrokenAnswer(f"{len(data) - at} bytes after the last chunk")
    return b"".join(parts)
