"""A chat service with faults in the shares that a test names; it counts what it answered, as a bill would."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MIX = {"429": 0.05, "500": 0.03, "stall": 0.02, "cut": 0.02, "truncated": 0.02, "malformed": 0.01}
"""Of the requests, so many meet each fault."""
GOOD = json.dumps({"turns": [{"question": f"What is it, {n}?", "answer": "A nevus."} for n in range(4)]})


class ChatService:
    """What the server answers, and what it has answered."""

    def __init__(
        self, faults: Mapping[str, float], latency_s: float, stall_s: float, text: Callable[[Any], str]
    ) -> None:
        self.faults, self.latency_s, self.stall_s, self.text = faults, latency_s, stall_s, text
        self.url = ""
        self.met: Counter[str] = Counter()
        """Requests by the fault that they met, none included."""
        self.paid: Counter[str] = Counter()
        """By what was asked, how often an answer was made, whether or not it arrived."""
        self.completion_tokens = 0
        """Of all answers made."""
        self.under_way = 0
        self._draw = random.Random(7)  # noqa: S311 (faults)
        self._lock = threading.Lock()

    def arrived(self) -> str:
        """A request comes in; returns the fault it meets."""
        with self._lock:
            self.under_way += 1
            drawn, fault = self._draw.random(), ""
            for name, share in self.faults.items():
                drawn -= share
                if drawn < 0:
                    fault = name
                    break
            self.met[fault] += 1
            return fault

    def charge(self, body: dict[str, Any]) -> dict[str, int]:
        """Makes an answer: from here on it is paid."""
        with self._lock:
            tokens = self._draw.randint(50, min(300, body["max_tokens"]))
            self.paid[json.dumps(body["messages"])] += 1
            self.completion_tokens += tokens
        return {"prompt_tokens": 9, "completion_tokens": tokens, "total_tokens": 9 + tokens}

    def left(self) -> None:
        """A request is done with."""
        with self._lock:
            self.under_way -= 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: ChatService

    def do_GET(self) -> None:
        self._send(200, json.dumps({"object": "list", "data": [{"id": "gpt-3.5-turbo", "object": "model"}]}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        fault = self.service.arrived()
        try:
            time.sleep(self.service.latency_s)
            self._answer(body, fault)
        except OSError:  # whoever asked was killed, or has given up
            self.close_connection = True
        finally:
            self.service.left()

    def _answer(self, body: dict[str, Any], fault: str) -> None:
        if fault in ("429", "500"):
            self._send(int(fault), json.dumps({"error": {"message": fault, "code": "x"}}))
            return
        usage = self.service.charge(body)
        text = self.service.text(body["messages"])
        message = {"role": "assistant", "content": text[: len(text) // 2] if fault == "malformed" else text}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        answer = json.dumps({"id": "1", "model": "m", "choices": [choice], "usage": usage})
        if fault == "stall":
            time.sleep(self.service.stall_s)
        if fault == "cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9000\r\n\r\n{")
            self.close_connection = True
        else:
            self._send(200, answer[: len(answer) // 2] if fault == "truncated" else answer)

    def _send(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text.encode())))
        if status == 429:
            self.send_header("retry-after", "0.05")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 100

    def handle_error(self, *_: object) -> None:
        """A connection that was broken off is what the tests are about."""


@contextmanager
def chat_service(
    faults: Mapping[str, float] | None = None,
    latency_s: float = 0.0,
    stall_s: float = 0.0,
    text: Callable[[Any], str] = lambda _: GOOD,
) -> Iterator[ChatService]:
    """Runs the server on a free port."""
    service = ChatService(faults or {}, latency_s, stall_s, text)
    handler = type("Handler", (_Handler,), {"service": service})
    with _Server(("127.0.0.1", 0), handler) as server:
        service.url = f"http://127.0.0.1:{server.server_port}/v1"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield service
        server.shutdown()
