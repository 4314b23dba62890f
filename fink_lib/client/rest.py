"""Asks the REST API, and gives its refusals as sentences."""

from __future__ import annotations

import ast
from types import TracebackType
from typing import Any, Self

import httpx

from fink_lib.errors import ConfigError, TransientError

TIMEOUT_S = 60.0
_SAID = 300


class Api:
    """The API at one address.

    Parameters
    ----------
    address : str
        Everything before ``/api/v1``.
    timeout_s : float
        Longest wait for an answer, seconds.
    transport : httpx.BaseTransport, optional
        How requests travel; over the network if not given.
    """

    def __init__(
        self, address: str, timeout_s: float = TIMEOUT_S, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.address = address.rstrip("/")
        self._client = httpx.Client(
            timeout=timeout_s,
            transport=transport,
            # without it, refusals come in the form that scripts for Fink's API look for
            headers={"Accept": "application/json, */*;q=0.1", "User-Agent": "fink client"},
        )

    def get(self, path: str, **arguments: Any) -> Any:
        """Ask with GET and give the JSON of the answer; arguments that are None are left out."""
        return self._json(self._request("GET", path, params=_given(arguments)))

    def post(self, path: str, **arguments: Any) -> Any:
        """Ask with POST and give the JSON of the answer; arguments that are None are left out."""
        return self._json(self._request("POST", path, json=_given(arguments)))

    def fetch(self, path: str, **arguments: Any) -> bytes:
        """Ask with POST and give the bytes of the answer.

        Raises
        ------
        ConfigError, TransientError
            As the others do: the first if the request cannot be answered, the second if it could be later.
        """
        return self._request("POST", path, json=_given(arguments)).content

    def _request(self, method: str, path: str, **how: Any) -> httpx.Response:
        try:
            response = self._client.request(method, f"{self.address}/api/v1/{path}", **how)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise ConfigError(f"{self.address!r} is no address of an API ({error}); correct `api`") from error
        except httpx.HTTPError as error:
            raise TransientError(
                f"the API at {self.address} does not answer ({error}); check that it runs, or its address"
            ) from error
        if response.is_success:
            return response
        said = refusal(response)
        sentence = f"the API at {self.address} says: {said} (status {response.status_code})"
        raise (TransientError if response.status_code >= 500 else ConfigError)(sentence)

    def _json(self, response: httpx.Response) -> Any:
        try:
            return response.json()
        except ValueError as error:
            said = response.text.strip()[:_SAID]
            raise TransientError(f"the API at {self.address} gave no JSON but: {said}") from error

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def refusal(response: httpx.Response) -> str:
    """Find the sentence in an answer that is a refusal: problem details, Fink's dictionary, or any text."""
    content: Any = None
    try:
        content = response.json()
    except ValueError:
        try:
            content = ast.literal_eval(response.text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            content = response.text
    if isinstance(content, dict):
        content = content.get("detail") or content.get("text") or content.get("message") or content
    said = " ".join(str(content).split())
    return said[:_SAID] or response.reason_phrase


def _given(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("_", "-") if name == "output_format" else name: value for name, value in arguments.items()
            if value is not None}  # fmt: skip
