"""What stands around every method of every service: the request is decoded, an error becomes a status and is counted.

The generated `add_…_to_server` functions take a `Methods` for their server; a servicer's methods are then called with
the request and a `Visit`, and raise NaruError.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from services.common.errors import InternalError, InvalidRequest, NaruError
from services.gateway.api.door import Door
from services.gateway.api.errors import Failures
from services.gateway.api.grpc.visit import Context, Visit

logger = logging.getLogger("naru.request")

Behaviour = Callable[[Any, Visit], Awaitable[Message | None]]
"""A unary method's answer is what it returns; a streaming one writes to the visit's context."""


class Methods:
    def __init__(self, server: grpc.aio.Server, door: Door, failures: Failures) -> None:
        """`failures` has a service's full name where HTTP's has a path."""
        self._server, self._door, self._failures = server, door, failures

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Generated code registers every method twice; the other way gives the methods one by one."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        wrapped = {name: self._wrapped(handler, service) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, wrapped),))

    def _wrapped(self, handler: Any, service: str) -> "grpc.RpcMethodHandler[Any, Any]":
        decode, encode = handler.request_deserializer, handler.response_serializer
        if handler.response_streaming:
            answer = self._around(handler.unary_stream, decode, service)
            return grpc.unary_stream_rpc_method_handler(answer, None, encode)
        answer = self._around(handler.unary_unary, decode, service)
        return grpc.unary_unary_rpc_method_handler(answer, None, encode)

    def _around(self, behaviour: Behaviour, decode: Callable[[bytes], Any], service: str) -> Callable[..., Any]:
        async def answer(raw: bytes, context: Context) -> Message | None:
            visit = Visit(self._door, context, self._failures.new_id)
            try:
                answered = await behaviour(_decoded(decode, raw), visit)
            except NaruError as error:
                failure = error
            except grpc.aio.BaseError:
                raise  # the connection has gone: there is nobody to tell
            except Exception as error:
                logger.error("unhandled error", exc_info=error)
                failure = InternalError("the gateway failed; report the x-request-id of this answer")
            else:
                context.set_trailing_metadata(visit.metadata())
                return answered
            if not visit.counted:
                self._failures.count(service, visit.request_id, failure, visit.passed, visit.received)
            return await visit.refuse(failure)

        return answer


def _decoded(decode: Callable[[bytes], Any], raw: bytes) -> Any:
    try:
        return decode(raw)
    except DecodeError:
        raise InvalidRequest("the request is not a message of this method's type") from None
