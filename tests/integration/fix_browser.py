"""A real Chromium without a window, asked through the pipe of its own debugging protocol."""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHROMIUM = "chromium-headless-shell"
_DEADLINE = 60.0  # seconds, for the browser to come up and for each answer
_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe",
)  # fmt: skip


@dataclass
class Seen:
    """What a page did while it was shown: requests beside itself, and what the console said."""

    requests: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)


class Browser:
    """One page in it, shown again and again. For one thread."""

    def __init__(self, send: int, receive: int) -> None:
        self._send, self._receive = send, receive
        self._numbers = itertools.count(1)
        self._rest = b""
        self._events: list[dict[str, Any]] = []
        self._session: str | None = None
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self._ask(f"{domain}.enable")

    def show(self, url: str, *, width: int, height: int = 900, dark: bool = False) -> Seen:
        """Load the page in a window of that many pixels; what it did until it had loaded, and a moment longer."""
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme])
        self._events.clear()
        self._ask("Page.navigate", url=url)
        self._wait("Page.loadEventFired")
        self.value("new Promise((done) => setTimeout(() => done(0), 300))")
        return Seen(
            [one["request"]["url"] for one in self._told("Network.requestWillBeSent") if one["request"]["url"] != url],
            [
                *(json.dumps(one["args"]) for one in self._told("Runtime.consoleAPICalled")),
                *(json.dumps(one["exceptionDetails"]) for one in self._told("Runtime.exceptionThrown")),
                *(one["entry"]["text"] for one in self._told("Log.entryAdded")),
            ],
        )

    def value(self, expression: str) -> Any:
        """What an expression comes to in the page."""
        answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """All of the page, however long it is, as PNG."""
        size = self._ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self._ask("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _told(self, method: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self._events if event["method"] == method]

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next(method)
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
            self._events.append(answer)

    def _wait(self, method: str) -> None:
        while not self._told(method):
            self._events.append(self._next(method))

    def _next(self, awaited: str) -> dict[str, Any]:
        """The next message of the browser."""
        end = time.monotonic() + _DEADLINE
        while b"\0" not in self._rest:
            readable, _, _ = select.select([self._receive], [], [], max(0.0, end - time.monotonic()))
            assert readable, f"no answer to {awaited} within {_DEADLINE:g} s"
            chunk = os.read(self._receive, 1 << 20)
            assert chunk, f"the browser ended before {awaited}"
            self._rest += chunk
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser with a profile of its own, which ends with the block."""
    to_it, from_us = os.pipe()
    to_us, from_it = os.pipe()
    with tempfile.TemporaryDirectory(prefix="ops-browser-", ignore_cleanup_errors=True) as profile:
        # The protocol wants the pipe at these two numbers.
        script = f'exec "$0" "$@" 3<&{to_it} 4>&{from_it}'
        command = ["bash", "-c", script, CHROMIUM, *_FLAGS, f"--user-data-dir={profile}"]
        with (Path(profile) / "log").open("wb") as log:
            process = subprocess.Popen(
                command, pass_fds=(to_it, from_it), stdout=log, stderr=log, env=os.environ | {"HOME": profile}
            )
        os.close(to_it)
        os.close(from_it)
        try:
            yield Browser(from_us, to_us)
        finally:
            os.close(from_us)
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
            os.close(to_us)
