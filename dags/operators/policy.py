"""How every task of the broker is retried, and who owns it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from fink_lib.errors import ConfigError

OWNER = "fink"

RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception=ConfigError,
            action=RetryAction.FAIL,
            reason="a person has to change something first: trying again would not help",
        )
    ]
)


def with_backoff(retries: int, first_s: float, longest_s: float) -> dict[str, Any]:
    """Arguments of an operator that is tried again with doubling pauses, but never after a ConfigError."""
    return {
        "retries": retries,
        "retry_delay": timedelta(seconds=first_s),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(seconds=longest_s),
        "retry_policy": RETRY_POLICY,
    }
