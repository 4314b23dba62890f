"""What kind of failure ended a query, told from the error that Spark hands over.

Spark wraps whatever happens inside a batch into one error class, so the words of the cause are looked at as well.
"""

from __future__ import annotations

from fink_lib.errors import ConfigError, FinkError, TransientError

_DATA_LOSS_WORDS = ("KAFKA_DATA_LOSS", "partitions are gone", "data may have been lost", "OffsetOutOfRange")
_TRANSIENT_WORDS = ("TimeoutException", "Connection refused", "DisconnectException", "_TRANSPORT")
_LENGTH = 400


class StageError(Exception):
    """A stage ended for a reason that is none of the three kinds: a fault of the code, or of the machine."""


def cause_of(error: BaseException) -> Exception:
    """Give the failure as one of the broker's own kinds, with its cause in one line.

    Parameters
    ----------
    error : BaseException
        What ended the stage.

    Returns
    -------
    Exception
        :class:`ConfigError` if a retry is useless (a setting, or records that Kafka no longer has),
        :class:`TransientError` if it may help, :class:`StageError` otherwise.
    """
    if isinstance(error, FinkError):
        return error
    text = str(error)
    if "fink_lib.errors.ConfigError" in text:
        return ConfigError(_line_with(text, ("fink_lib.errors.ConfigError",)))
    if any(word in text for word in _DATA_LOSS_WORDS):
        return ConfigError(
            f"Kafka no longer holds records that were not read: {_line_with(text, _DATA_LOSS_WORDS)}; "
            "see docs/operations.md, 'Records were lost before they were read'"
        )
    if "fink_lib.errors.TransientError" in text:
        return TransientError(_line_with(text, ("fink_lib.errors.TransientError",)))
    if any(word in text for word in _TRANSIENT_WORDS):
        return TransientError(_line_with(text, _TRANSIENT_WORDS))
    return StageError(f"{type(error).__name__}: {_line_with(text, ('Error', 'Exception'))}")


def _line_with(text: str, words: tuple[str, ...]) -> str:
    """Pick the last line that has one of `words` and is not a stack frame, else the first line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines if any(word in line for word in words) and not line.startswith(("at ", "File "))]
    return (named[-1] if named else lines[0] if lines else "no message")[:_LENGTH]
