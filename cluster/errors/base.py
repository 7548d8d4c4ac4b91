"""What every deliberate error is, and the codes that older clients know some by."""

from typing import Any, ClassVar


class HeliostatError(Exception):
    """Base of every deliberate error.

    message: what was wrong, in one sentence. hint: what would be right. param: the JSON path of the
    offending field. retry_after_s: when a retry may succeed, in seconds. legacy: the code that an older API of
    these services had for it, for clients that branch on those.
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    legacy: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.param = param
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[Any, ...]:
        details = {"hint": self.hint, "param": self.param, "retry_after_s": self.retry_after_s}
        return _rebuild, (type(self), self.message, details)

    def line(self) -> str:
        """The error as one line of text, for the command line and logs."""
        return f"{self.message} — {self.hint}" if self.hint else self.message


def _rebuild(kind: type[HeliostatError], message: str, details: dict[str, Any]) -> HeliostatError:
    return kind(message, **details)


def legacy_of(code: str) -> str | None:
    """The code that older clients know a stable one by; None where they knew of no such thing."""
    kinds = [HeliostatError]
    for kind in kinds:  # it grows: every class once
        if kind.code == code:
            return kind.legacy
        kinds += kind.__subclasses__()
    return None
