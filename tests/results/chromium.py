"""A headless Chromium over its debugging pipe: opens a page, asks it questions, prints it, hears its errors."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


class Page:
    """One tab. Commands and events are those of the DevTools protocol; messages end in a zero byte.

    Attributes:
        errors: exceptions, console errors and refused or failed loads, in the order they came.
    """

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = write, read
        self._numbers = count(1)
        self._buffer = b""
        self._session = ""
        self.errors: list[str] = []
        self._events: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> Any:
        """Send a command and give its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def open(self, path: Path, *, width: int, height: int = 900, at: str = "") -> None:
        """Show a file in a window of that size, as on a device of that width, at an address in it (`#…`)."""
        mobile = width < 600
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        for url in ("about:blank", path.resolve().as_uri() + at):  # the same file at another address is not loaded anew
            self._events.clear()
            self.send("Page.navigate", url=url)
            while "Page.loadEventFired" not in self._events:
                self._next()

    def ask(self, expression: str) -> Any:
        """Give the value of a JavaScript expression in the page."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["exception"].get("description"))
        return result["result"].get("value")

    def click(self, selector: str) -> None:
        """Press the mouse in the middle of an element."""
        find = f"document.querySelector({json.dumps(selector)})"
        box = self.ask(
            f"(() => {{ const e = {find}; e.scrollIntoView({{block: 'center', inline: 'center'}});"
            "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def pdf(self, path: Path) -> None:
        """Write what a printer would get."""
        printed = self.send("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        path.write_bytes(base64.b64decode(printed["data"]))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._read, 1 << 16)
            if not part:
                raise RuntimeError("Chromium ended")
            self._buffer += part
        line, self._buffer = self._buffer.split(b"\0", 1)
        message: dict[str, Any] = json.loads(line)
        params = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.errors.append(str(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.errors.append(str(params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.errors.append(str(params["entry"]["text"]))
            case "Network.requestWillBeSent" if not params["request"]["url"].startswith(("file:", "data:")):
                self.errors.append("asks the network for " + params["request"]["url"])
            case str() as event:
                self._events.append(event)
        return message


@contextmanager
def tab() -> Iterator[Page]:
    """Start a Chromium with a fresh profile, give its tab, and end it."""
    if PROGRAM is None:
        raise RuntimeError("There is no Chromium on the path.")
    to_browser, from_us = os.pipe()
    to_us, from_browser = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        shell = f'exec 3<&{to_browser} 4>&{from_browser}; exec "$0" "$@"'  # the pipe's ends are descriptors 3 and 4
        process = subprocess.Popen(
            ["bash", "-c", shell, PROGRAM, *_SWITCHES, f"--user-data-dir={profile}"],
            pass_fds=(to_browser, from_browser),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        try:
            yield Page(from_us, to_us)
        finally:
            process.terminate()
            process.wait(timeout=20)
            os.close(from_us)
            os.close(to_us)
