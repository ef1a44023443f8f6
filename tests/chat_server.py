"""A function of the request's body in, a server of the OpenAI protocol out that answers by it, with faults in given shares.

It counts what it answered, as a bill would.
"""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]

MIX = {"429": 0.05, "500": 0.03, "stall": 0.02, "cut": 0.02, "truncated": 0.02, "malformed": 0.01}
"""Of the requests, so many meet each fault."""
GOOD = json.dumps({"turns": [{"question": f"What is it, {n}?", "answer": "A nevus."} for n in range(4)]})


class ChatServer:
    """What the server answers, and what it has answered."""

    def __init__(
        self,
        answer: Callable[[Body], "str | tuple[int, Body]"],
        model: str,
        faults: Mapping[str, float],
        latency_s: float,
        stall_s: float,
    ) -> None:
        self.answer, self.model = answer, model
        self.faults, self.latency_s, self.stall_s = faults, latency_s, stall_s
        self.base_url = ""
        self.bodies: list[Body] = []
        """Of every chat request so far."""
        self.met: Counter[str] = Counter()
        """Requests by the fault that they met, none included."""
        self.paid: Counter[str] = Counter()
        """By what was asked, how often an answer was made, whether or not it arrived."""
        self.completion_tokens = 0
        """Of all answers made."""
        self.under_way = 0
        self._draw = random.Random(7)  # noqa: S311 (faults)
        self._lock = threading.Lock()

    def arrived(self, body: Body) -> str:
        """A request comes in; returns the fault it meets."""
        with self._lock:
            self.under_way += 1
            self.bodies.append(body)
            drawn, fault = self._draw.random(), ""
            for name, share in self.faults.items():
                drawn -= share
                if drawn < 0:
                    fault = name
                    break
            self.met[fault] += 1
            return fault

    def charge(self, body: Body) -> dict[str, int]:
        """Makes an answer: from here on it is paid."""
        with self._lock:
            tokens = self._draw.randint(50, min(300, body.get("max_tokens", 300)))
            self.paid[json.dumps(body["messages"])] += 1
            self.completion_tokens += tokens
        return {"prompt_tokens": 9, "completion_tokens": tokens, "total_tokens": 9 + tokens}

    def left(self) -> None:
        """A request is done with."""
        with self._lock:
            self.under_way -= 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: ChatServer

    def do_GET(self) -> None:
        listed = {"id": self.service.model, "object": "model", "created": 0, "owned_by": "x"}
        self._send(200, json.dumps({"object": "list", "data": [listed]}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        fault = self.service.arrived(body)
        try:
            time.sleep(self.service.latency_s)
            self._answer(body, fault)
        except OSError:  # whoever asked was killed, or has given up
            self.close_connection = True
        finally:
            self.service.left()

    def _answer(self, body: Body, fault: str) -> None:
        if fault in ("429", "500"):
            self._send(int(fault), json.dumps({"error": {"message": fault, "code": "x"}}))
            return
        said = self.service.answer(body)
        if isinstance(said, tuple):
            self._send(said[0], json.dumps(said[1]))
            return
        answer = _completion(said[: len(said) // 2] if fault == "malformed" else said, self.service.charge(body))
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
def chat_server(
    answer: Callable[[Body], "str | tuple[int, Body]"] = lambda _: GOOD,
    model: str = "gpt-3.5-turbo",
    faults: Mapping[str, float] | None = None,
    latency_s: float = 0.0,
    stall_s: float = 0.0,
) -> Iterator[ChatServer]:
    """Serves on a free port; `answer` gives the message's text, or a status and an error."""
    service = ChatServer(answer, model, faults or {}, latency_s, stall_s)
    handler = type("Handler", (_Handler,), {"service": service})
    with _Server(("127.0.0.1", 0), handler) as server:
        service.base_url = f"http://127.0.0.1:{server.server_port}/v1"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield service
        server.shutdown()


def told(body: Body) -> Body:
    """The data of a request: what stands between the two fences of its last message but repairs."""
    message = next(
        one for one in reversed(body["messages"]) if one["role"] == "user" and one["content"].startswith("-----")
    )
    fence, data, end = message["content"].split("\n")
    assert fence == end
    content: Body = json.loads(data)
    return content


def conversation(*turns: tuple[str, str]) -> str:
    """Turns as a model writes them."""
    return json.dumps({"turns": [{"question": question, "answer": answer} for question, answer in turns]})


def _completion(text: str, usage: dict[str, int]) -> str:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    content = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
    return json.dumps(content)
