"""Chat over gRPC, with the generated stubs on gevent."""

from time import perf_counter
from typing import Any, ClassVar

import grpc
from grpc.experimental import gevent as grpc_gevent

from loadtests.load.answer import Reply
from loadtests.load.users import ModelUser
from services.common.pb.naru.v1 import chat_pb2 as pb
from services.common.pb.naru.v1.chat_pb2_grpc import ChatServiceStub
from services.gateway.registry import Task

ROLES = {"system": pb.ROLE_SYSTEM, "user": pb.ROLE_USER}


class GrpcChatUser(ModelUser):
    """`StreamChat`; only where it is asked for by name: gRPC's own threads take part of the core."""

    kind = Task.CHAT
    weight = 1
    channel: ClassVar[Any] = None

    def on_start(self) -> None:
        super().on_start()
        if GrpcChatUser.channel is None:
            grpc_gevent.init_gevent()
            GrpcChatUser.channel = grpc.insecure_channel(self.bench.options.grpc)
        self._stub: Any = ChatServiceStub(GrpcChatUser.channel)
        self._key = (("authorization", f"Bearer {self.bench.options.key}"),)

    def ask(self, reply: Reply) -> None:
        talk = self.bench.prompts.conversation(self.draw)
        said = [("system", talk.system)] if talk.system else []
        said.append(("user", talk.turns[0].text))
        messages = [pb.ChatMessage(role=ROLES[role], content=text) for role, text in said]
        chat = pb.ChatRequest(model=self.model, messages=messages, max_tokens=talk.turns[0].max_tokens)
        asked = pb.StreamChatRequest(chat=chat, stream_options=pb.StreamOptions(include_usage=True))
        try:
            for piece in self._stub.StreamChat(asked, metadata=self._key, timeout=self.bench.options.timeout):
                _hear(reply, piece, perf_counter())
        except grpc.RpcError as error:
            reply.error = str(error.code().name)  # a failed call is its own status
        reply.ended = perf_counter()


def _hear(reply: Reply, piece: Any, now: float) -> None:
    reply.length += piece.ByteSize()
    if piece.HasField("usage"):
        reply.tokens = piece.usage.completion_tokens
    deltas = (choice.delta for choice in piece.choices)
    if any(delta.content or delta.reasoning_content or delta.refusal or delta.tool_calls for delta in deltas):
        reply.hear(now)
