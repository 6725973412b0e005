"""The faults of the API: name and status of each, the only such table.

Names and statuses are those of the original (compute-api reference §1, identity reference §1.0).
Raise one with a text that the caller may see; the endpoint wrapper renders it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class Fault(Exception):
    """An answer that is not a success; ``message`` is shown to the caller."""

    name: ClassVar[str] = "internalServerError"
    status: ClassVar[int] = 500

    def __init__(
        self,
        message: str = "",
        *,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.data = data
        self.headers: Mapping[str, str] = headers or {}


class NotModified(Fault):
    name, status = "notModified", 304


class BadRequest(Fault):
    name, status = "badRequest", 400


class Unauthorized(Fault):
    name, status = "unauthorized", 401


class Forbidden(Fault):
    name, status = "forbidden", 403


class ItemNotFound(Fault):
    name, status = "itemNotFound", 404


class NotAllowed(Fault):
    name, status = "notAllowed", 405


class Conflict(Fault):
    name, status = "conflict", 409


class BuildInProgress(Fault):
    name, status = "buildInProgress", 409


class RequestEntityTooLarge(Fault):
    name, status = "requestEntityTooLarge", 413


class OverLimit(Fault):
    name, status = "overLimit", 413


class UnprocessableEntity(Fault):
    name, status = "unprocessableEntity", 422


class TooManyRequests(Fault):
    name, status = "overLimit", 429


class InternalServerError(Fault):
    name, status = "internalServerError", 500


class NotImplementedFault(Fault):
    name, status = "notImplemented", 501


class ServiceUnavailable(Fault):
    name, status = "serviceUnavailable", 503
