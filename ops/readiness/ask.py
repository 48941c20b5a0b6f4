"""Many questions at once, each with a deadline: who hangs is named, and nobody else waits for it."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Mapping
from http.client import HTTPException, HTTPSConnection
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from ops.errors import OpsError, Unreachable
from ops.fleet import Identity

DEADLINE = 1.0  # seconds for an answer over the network
# Seconds for all of them together. Where this host is so busy that whoever is well is late, too, it is longer: some
# times what a quarter of the answers took, and never more than the last.
LIMIT, PATIENCE, LAST = 1.0, 4, 3.0

K = TypeVar("K")
T = TypeVar("T")


def ask(questions: Mapping[K, Callable[[], T]]) -> dict[K, T | OpsError]:
    """The answer to each question, or why there is none, in their order.

    Each runs in a thread of its own. One that is late is left behind: its own time-outs end it, and nobody waits for
    it, not even the end of the program. What is no OpsError is a mistake of ours, and is raised.
    """
    answered: SimpleQueue[tuple[K, T | Exception]] = SimpleQueue()

    def run(key: K, question: Callable[[], T]) -> None:
        try:
            answered.put((key, question()))
        except Exception as error:
            answered.put((key, error))

    began = time.monotonic()
    for key, question in questions.items():
        threading.Thread(target=run, args=(key, question), name=f"ask {key}", daemon=True).start()
    answers: dict[K, T | Exception] = {}
    limit = LAST
    while len(answers) < len(questions):
        try:
            key, answer = answered.get(timeout=max(began + limit - time.monotonic(), 0.0))
        except Empty:
            break
        answers[key] = answer
        if limit == LAST and 4 * len(answers) >= len(questions):
            limit = min(max(LIMIT, PATIENCE * (time.monotonic() - began)), LAST)
    late = Unreachable(f"no answer within {limit:.1f} s")
    return {key: _checked(answers.get(key, late)) for key in questions}


def _checked(answer: T | Exception) -> T | OpsError:
    if isinstance(answer, Exception) and not isinstance(answer, OpsError):
        raise answer
    return answer


def trouble(error: OpsError) -> str:
    """Why there is no answer, in one line."""
    lines = (error.detail or "").strip().splitlines()
    return f"{error.message}: {lines[0].strip()}" if lines else error.message


def tls(identity: Identity) -> ssl.SSLContext:
    """TLS 1.3, everybody verified, and we show ourselves."""
    context = ssl.create_default_context(cafile=str(identity.ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(identity.cert_file, identity.key_file)
    return context


class Endpoint:
    """An HTTPS server, asked over one connection. For a `with` statement; Unreachable where it does not answer."""

    def __init__(self, context: ssl.SSLContext, address: str, port: int) -> None:
        self._name = f"{address}:{port}"
        self._connection = HTTPSConnection(address, port, timeout=DEADLINE, context=context)

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, path: str, body: str | None = None) -> tuple[int, bytes]:
        """Status and body of a GET, or of a POST where there is something to send."""
        try:
            self._connection.request("POST" if body else "GET", path, body=body)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, HTTPException) as error:
            raise Unreachable(f"{self._name} does not answer", detail=_reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing came within {DEADLINE:.0f} s"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def as_json(found: Any, what: str) -> dict[str, Any]:
    """`found` as an object of JSON; Unreachable where somebody has answered with something else."""
    if not isinstance(found, dict):
        raise Unreachable(f"{what} answered with something else than was asked for")
    return found
