"""How every task of the broker is retried, who owns it, and who is told when it has failed for good."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from dags.operators.notifier import TellPeople
from fink_lib.errors import ConfigError

OWNER = "fink"
WATCHED: dict[str, Any] = {"owner": OWNER, "on_failure_callback": TellPeople()}
"""Default arguments of every DAG."""

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
