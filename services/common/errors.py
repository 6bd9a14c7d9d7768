"""Naru's error tree. An edge (HTTP, gRPC) maps an error by what its class says, never by its name.

NaruError
 x InvalidRequest          400  the body is not what its content type says
   x InvalidField          422  well-formed, but a field is missing or wrong
   x InvalidTensor         400  an Open Inference Protocol tensor is missing or wrong
   x BodyTooLarge          413
   x HeadersTooLarge       431
   x RequestTimeout        408  the request did not arrive in time
 x Unauthenticated         401
 x PermissionDenied        403
 x NotFound                404
   x UnknownModel          404
   x UnknownVersion        404
 x MethodNotAllowed        405
 x QuotaExceeded           429  carries Retry-After
 x Saturated               429  carries Retry-After
 x DeadlineExceeded        408  the client's own deadline passed
 x ClientGone              499  only in logs and metrics
 x UpstreamError           502
   x UpstreamTruncated     502  the answer broke off
   x UpstreamTimeout       504
     x FirstTokenTimeout   504
     x IdleTimeout         504
 x Unavailable             503  carries Retry-After
   x NoHealthyEndpoint     503
     x ActivationTimeout   503  no endpoint came up while the request was held
   x Draining              503
 x InternalError           500

`reason` is the bounded word that metrics and clients' `code` use; `grpc_code` is a name of `grpc.StatusCode`.
"""

from typing import ClassVar


class NaruError(Exception):
    """Base of every error a client can see. `message` says what to do; it never holds a secret or a prompt."""

    http_status: ClassVar[int] = 500
    grpc_code: ClassVar[str] = "INTERNAL"
    kind: ClassVar[str] = "server_error"
    reason: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, param: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after

    def envelope(self) -> dict[str, dict[str, str | None]]:
        """OpenAI's error body."""
        return {
            "error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.reason}
        }  # fmt: skip


class InvalidRequest(NaruError):
    http_status, grpc_code, kind, reason = 400, "INVALID_ARGUMENT", "invalid_request_error", "invalid_request"


class InvalidField(InvalidRequest):
    http_status, reason = 422, "invalid_field"


class InvalidTensor(InvalidRequest):
    reason = "invalid_tensor"


class BodyTooLarge(InvalidRequest):
    http_status, grpc_code, reason = 413, "RESOURCE_EXHAUSTED", "body_too_large"


class HeadersTooLarge(InvalidRequest):
    http_status, grpc_code, reason = 431, "RESOURCE_EXHAUSTED", "headers_too_large"


class RequestTimeout(InvalidRequest):
    http_status, grpc_code, reason, retryable = 408, "DEADLINE_EXCEEDED", "request_timeout", True


class Unauthenticated(NaruError):
    http_status, grpc_code, kind, reason = 401, "UNAUTHENTICATED", "authentication_error", "invalid_api_key"


class PermissionDenied(NaruError):
    http_status, grpc_code, kind, reason = 403, "PERMISSION_DENIED", "permission_error", "model_not_allowed"


class NotFound(NaruError):
    http_status, grpc_code, kind, reason = 404, "NOT_FOUND", "not_found_error", "not_found"


class UnknownModel(NotFound):
    reason = "model_not_found"


class UnknownVersion(NotFound):
    reason = "version_not_found"


class MethodNotAllowed(NaruError):
    http_status, grpc_code, kind, reason = 405, "UNIMPLEMENTED", "invalid_request_error", "method_not_allowed"


class QuotaExceeded(NaruError):
    http_status, grpc_code, kind, reason = 429, "RESOURCE_EXHAUSTED", "rate_limit_error", "rejected_quota"
    retryable = True


class Saturated(NaruError):
    http_status, grpc_code, kind, reason = 429, "RESOURCE_EXHAUSTED", "rate_limit_error", "rejected_saturated"
    retryable = True


class DeadlineExceeded(NaruError):
    http_status, grpc_code, kind, reason = 408, "DEADLINE_EXCEEDED", "timeout_error", "deadline_exceeded"
    retryable = True


class ClientGone(NaruError):
    http_status, grpc_code, kind, reason = 499, "CANCELLED", "client_error", "client_cancelled"


class UpstreamError(NaruError):
    http_status, grpc_code, kind, reason = 502, "UNAVAILABLE", "upstream_error", "upstream_error"
    retryable = True


class UpstreamTruncated(UpstreamError):
    reason = "truncated"


class ConnectTimeout(UpstreamError):
    """The request was not sent: unlike after an `UpstreamTimeout`, it may go elsewhere."""


class UpstreamTimeout(UpstreamError):
    http_status, grpc_code, kind, reason = 504, "DEADLINE_EXCEEDED", "timeout_error", "timeout_total"


class FirstTokenTimeout(UpstreamTimeout):
    reason = "timeout_first_token"


class IdleTimeout(UpstreamTimeout):
    reason = "timeout_idle"


class Unavailable(NaruError):
    http_status, grpc_code, kind, reason = 503, "UNAVAILABLE", "overloaded_error", "unavailable"
    retryable = True


class NoHealthyEndpoint(Unavailable):
    reason = "no_healthy_endpoint"


class ActivationTimeout(NoHealthyEndpoint):
    reason = "timeout_activation"


class Draining(Unavailable):
    reason = "draining"


class InternalError(NaruError):
    pass
