"""A request that is not honoured, whatever it is about. Most subjects' errors are kinds of these."""

from cluster.errors.base import HeliostatError


class BadRequest(HeliostatError):
    """The request cannot be understood or honoured as sent."""

    code, status = "invalid_request", 400


class UnsupportedParameter(BadRequest):
    """A valid parameter that this model or engine cannot honour: refused, never ignored."""

    code, legacy = "unsupported_parameter", "HF_INVALID_CONFIG"


class NotFound(HeliostatError):
    """No such thing."""

    code, status = "not_found", 404


class MethodNotAllowed(HeliostatError):
    """The path exists, the method does not."""

    code, status = "method_not_allowed", 405


class Conflict(HeliostatError):
    """The thing is not in a state that allows this."""

    code, status = "conflict", 409


class IdempotencyMismatch(Conflict):
    """An Idempotency-Key that came before, with another body."""

    code = "idempotency_mismatch"


class IdempotencyInProgress(Conflict):
    """An Idempotency-Key whose first request still runs, for longer than a second one waits."""

    code, retryable = "idempotency_in_progress", True


class PreconditionFailed(HeliostatError):
    """What was to be changed is not any more what the client saw (`If-Match`)."""

    code, status = "precondition_failed", 412


class PayloadTooLarge(HeliostatError):
    """The request body is over the limit."""

    code, status = "payload_too_large", 413


class UnsupportedMediaType(HeliostatError):
    """A body of a type that its path does not read."""

    code, status = "unsupported_media_type", 415


class HeadersTooLarge(HeliostatError):
    """The request's headers are over the limit."""

    code, status = "headers_too_large", 431
