"""Errors on the gRPC edge: the error tree as a status with google.rpc details.

https://google.aip.dev/193 : ErrorInfo says which error it is, RetryInfo when to come back, BadRequest which field.
"""

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from services.common.errors import NaruError

DOMAIN = "naru"
DETAILS = "grpc-status-details-bin"
"""The metadata in which gRPC carries a google.rpc.Status."""


def code(error: NaruError) -> StatusCode:
    return StatusCode[error.grpc_code]


def details(error: NaruError) -> bytes:
    """The google.rpc.Status that says all an HTTP error body and its headers say."""
    said: list[ErrorInfo | RetryInfo | BadRequest] = [ErrorInfo(reason=error.reason, domain=DOMAIN)]
    if error.retry_after is not None:
        said.append(RetryInfo(retry_delay=Duration(seconds=error.retry_after)))
    if error.param is not None:
        violation = BadRequest.FieldViolation(field=error.param, description=error.message)
        said.append(BadRequest(field_violations=[violation]))
    packed = [AnyMessage() for _ in said]
    for box, detail in zip(packed, said, strict=True):
        box.Pack(detail)
    status: Message = Status(code=code(error).value[0], message=error.message, details=packed)
    return status.SerializeToString()
