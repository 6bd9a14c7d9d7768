"""What keeps a stream alive over HTTP keeps it alive over gRPC."""

from pathlib import Path

from services.common.pb.naru.v1 import chat_pb2 as pb
from tests.gateway.grpc.client import calling, drained, text
from tests.gateway.test_keepalive import OFTEN, slow
from tests.gateway.test_migration import PROMPT, TEXT, Writer, served


async def test_a_stream_moves_to_another_engine(tmp_path: Path) -> None:
    dying = Writer("a")
    dying.lives = 20
    async with served(tmp_path, dying, Writer("b")) as gateway, calling(gateway) as client:
        pieces = await drained(client.stream())
        assert text(pieces) == TEXT
        assert {piece.id for piece in pieces} == {"a"}
        finished = [c.finish_reason for piece in pieces for c in piece.choices if c.finish_reason]
        assert finished == [pb.FINISH_REASON_STOP]
        (usage,) = [piece.usage for piece in pieces if piece.HasField("usage")]
        assert (usage.prompt_tokens, usage.completion_tokens) == (PROMPT, len(TEXT))
        assert await gateway.value("naru_migrations_total", outcome="continued") == 1


async def test_comments_are_no_messages(tmp_path: Path) -> None:
    async with served(tmp_path, slow, resilience=OFTEN) as gateway, calling(gateway) as client:
        pieces = await drained(client.stream())
        assert text(pieces) == "ab"
