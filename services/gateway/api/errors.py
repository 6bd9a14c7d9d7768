"""Errors on the HTTP edge: one mapper from the error tree to a body, headers and a log line."""

import logging
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from services.common.errors import InternalError, InvalidRequest, MethodNotAllowed, NaruError, NotFound
from services.gateway.metrics import Metrics
from services.gateway.request_log import Entry, RequestLog
from services.gateway.tracing.context import Header
from services.gateway.tracing.trace import Refused, Traces

logger = logging.getLogger("naru.request")
OIP = "/v2"
"""Where the paths of the Open Inference Protocol begin."""
OTHER = "other"
"""The operation of a path that there is not."""


def describe(error: NaruError) -> dict[str, object]:
    """The fields of OpenAI's error object."""
    return {**error.envelope()["error"]}


def error_body(error: NaruError, path: str) -> bytes:
    """The body for a path: OpenAI's envelope, with what Anthropic's clients look for on their path; a plain text on
    the Open Inference Protocol's."""
    if path.startswith(OIP):
        return msgspec.json.encode({"error": error.message})
    body: dict[str, object] = {**error.envelope()}
    if path.startswith("/v1/messages"):
        body = {"type": "error", **body}
    return msgspec.json.encode(body)


def error_response(error: NaruError, path: str) -> Response:
    return Response(error_body(error, path), error.http_status, error_headers(error), media_type="application/json")


def error_headers(error: NaruError) -> dict[str, str]:
    headers = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
    if error.http_status == 401:
        headers["www-authenticate"] = "Bearer"
    if error.http_status in (408, 413):
        headers["connection"] = "close"  # what is left of the body must not be read as a request
    return headers


def from_http(error: HTTPException) -> NaruError:
    """What the framework itself refuses: a path or method that there is not."""
    if error.status_code == 404:
        return NotFound("there is nothing at this path; GET /docs lists what there is")
    if error.status_code == 405:
        return MethodNotAllowed("this path does not take this method; GET /docs lists what there is")
    return InvalidRequest("the request could not be read")


class Failures:
    """Answers, counts, logs and traces what ended before it became a call.

    `operations` is path to operation; any other path is `other`, so that a client's paths make no time series.
    """

    def __init__(
        self,
        metrics: Metrics,
        log: RequestLog,
        traces: Traces,
        operations: Mapping[str, str],
        new_id: Callable[[], str],
    ) -> None:
        self._metrics, self._log, self._traces, self._operations = metrics, log, traces, operations
        self.new_id = new_id
        """Request ids for what has none yet."""

    def naming(self, operations: Mapping[str, str]) -> "Failures":
        """The same books for an edge whose paths are these."""
        return Failures(self._metrics, self._log, self._traces, operations, self.new_id)

    def answer(self, request: Request, error: NaruError) -> Response:
        path, state = request.scope["path"], request.scope["state"]
        self.count(path, state["request_id"], error, request.scope["headers"], state["began"])
        return error_response(error, path)

    def count(
        self, path: str, request_id: str, error: NaruError, headers: Iterable[Header] = (), began: float | None = None
    ) -> None:
        """`headers`: those with the caller's trace context among them; `began`: `time.perf_counter()`."""
        operation = "inference" if path.startswith(OIP) else self._operations.get(path, OTHER)
        self._metrics.refused(operation, error.reason)
        reason = error.message if error.http_status != 404 else None
        status, now, trace = error.http_status, perf_counter(), None
        if operation != OTHER:
            route = path if path in self._operations else OIP
            trace = self._traces.refused(headers, Refused(
                operation, route, request_id, error.reason, status, reason, now if began is None else began, now
            ))  # fmt: skip
        self._log.write(Entry(request_id, operation, error.reason, status, reason, trace_id=trace))

    async def on_naru_error(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, NaruError)
        return self.answer(request, error)

    async def on_http_error(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return self.answer(request, from_http(error))

    async def on_defect(self, request: Request, error: Exception) -> Response:
        """A defect of ours. The client learns its request id and nothing else."""
        logger.error("unhandled error", exc_info=error)
        return self.answer(request, InternalError("the gateway failed; report the x-request-id of this answer"))
