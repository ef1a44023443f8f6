"""Limits and a latency in, a running `llmock serve` on a free port out, which answers every chat with one conversation.

Run as a program's factory (`uvicorn --factory midefics.bench.label_server:untold`) it is the same server without its rate
limit headers.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.error import URLError
from urllib.request import Request, urlopen

from midefics.errors import ServiceError

PATIENCE_S = 60.0
TURNS = [{"question": f"What does part {number} show?", "answer": "A benign nevus."} for number in range(5)]
CONVERSATION = json.dumps({"turns": TURNS})


class LabelServer(NamedTuple):
    """A running server."""

    root: str

    @property
    def base_url(self) -> str:
        """For clients of the OpenAI protocol."""
        return f"{self.root}/v1"

    def statuses(self) -> list[int]:
        """Of every chat request so far; those under way are waited for."""
        return [request["status"] for request in self._chats()]

    def seconds(self) -> float:
        """From the first chat request's coming in to the last one's answer."""
        chats = self._chats()
        return float(max(chat["ended_at"] for chat in chats) - min(chat["started_at"] for chat in chats))

    def tokens_charged(self) -> int:
        """What it took from the limit on tokens, by its own count."""
        from llmock.ratelimit import requested_tokens

        bodies = [chat["body"] for chat in self._chats()]
        sent = [(body, json.dumps(body, ensure_ascii=False, separators=(",", ":"))) for body in bodies]
        return sum(requested_tokens(body, len(text.encode())) for body, text in sent)

    def findings(self) -> int:
        """What the server holds against the client's manners, warnings included."""
        return len(_json(f"{self.root}/_llmock/verdict")["findings"])

    def _chats(self) -> list[dict[str, Any]]:
        told = _json(f"{self.root}/_llmock/requests")["requests"]
        return [request for request in told if request["path"].endswith("/chat/completions")]


@contextmanager
def label_server(
    rpm: int | None = None, tpm: int | None = None, latency_ms: int = 0, told: bool = True, faults: bool = False
) -> Iterator[LabelServer]:
    """Starts the server, and ends it with the block.

    Args:
        rpm: requests per minute that it allows.
        tpm: tokens per minute.
        latency_ms: of every answer.
        told: whether its answers tell of the limits.
        faults: whether some of its answers go wrong, see `faulty_server`.

    Raises:
        ServiceError: it does not start; is llmock installed?
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    limits = {"LLMOCK_RPM": rpm, "LLMOCK_TPM": tpm, "LLMOCK_LATENCY_MS": latency_ms}
    environment = os.environ | {name: str(value) for name, value in limits.items() if value}
    command = [
        sys.executable,
        "-m",
        *_serving(told, faults),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--log-level",
        "warning",
    ]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        server = LabelServer(f"http://127.0.0.1:{port}")
        _await_health(server, process)
        _json(
            f"{server.root}/_llmock/scenario", {"behaviors": [{"type": "reply", "text": CONVERSATION, "times": None}]}
        )
        yield server
    finally:
        process.terminate()
        process.wait()


def untold() -> Callable[..., Awaitable[None]]:
    """The server's application, its rate limit headers left out."""
    from llmock.main import create_app

    application = create_app()

    async def quiet(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        async def pass_on(message: dict[str, Any]) -> None:
            kept = [pair for pair in message.get("headers", []) if not pair[0].lower().startswith(b"x-ratelimit")]
            await send(message | {"headers": kept} if "headers" in message else message)

        await application(scope, receive, pass_on)

    return quiet


def _serving(told: bool, faults: bool) -> list[str]:
    if faults:
        return ["uvicorn", "--factory", "midefics.bench.faulty_server:faulty"]
    return ["llmock.cli", "serve"] if told else ["uvicorn", "--factory", f"{__name__}:untold"]


def _await_health(server: LabelServer, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends and process.poll() is None:
        try:
            _json(f"{server.root}/health")
            return
        except (URLError, ConnectionError):
            time.sleep(0.1)
    raise ServiceError("llmock does not start; install midefics with its `dev` extra")


def _json(url: str, body: dict[str, Any] | None = None) -> Any:
    content = json.dumps(body).encode() if body is not None else None
    with urlopen(Request(url, content, {"content-type": "application/json"}), timeout=PATIENCE_S) as response:  # noqa: S310 (ours)
        return json.load(response)
