"""ChatService: OpenAI's chat completions, typed."""

from services.common.pb.naru.v1 import chat_pb2 as pb
from services.gateway.api.grpc.chat_answer import piece, response
from services.gateway.api.grpc.chat_request import chat_body, stream_body
from services.gateway.api.grpc.stream import StreamCarrier
from services.gateway.api.grpc.visit import Visit
from services.gateway.api.operations import OPERATIONS

CHAT = next(operation for operation in OPERATIONS if operation.name == "chat")


class ChatServicer:
    def __init__(self, write_timeout: float) -> None:
        self._write_timeout = write_timeout

    async def Chat(self, request: pb.ChatRequest, visit: Visit) -> pb.ChatResponse:  # noqa: N802 - as in the proto
        whole = await visit.ask(CHAT, lambda: chat_body(request))
        return response(whole.body)

    async def StreamChat(self, request: pb.StreamChatRequest, visit: Visit) -> None:  # noqa: N802
        carrier = StreamCarrier(visit, piece, self._write_timeout)
        with visit.running(visit.call(CHAT, lambda: stream_body(request)), carrier) as relay:
            carrier.relay = relay
            relay.begin()
            await carrier.run()
