"""A function of the request's body in, a server of the OpenAI protocol out that answers by it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple

Body = dict[str, Any]


class ChatServer(NamedTuple):
    """A running server."""

    base_url: str
    bodies: list[Body]
    """Of every chat request so far."""


@contextmanager
def chat_server(
    answer: Callable[[Body], "str | tuple[int, Body]"], model: str = "gpt-3.5-turbo"
) -> Iterator[ChatServer]:
    """Serves on a free port; `answer` gives the message's text, or a status and an error."""
    bodies: list[Body] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            listed = {"id": model, "object": "model", "created": 0, "owned_by": "x"}
            self._send(200, {"object": "list", "data": [listed]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            bodies.append(body)
            said = answer(body)
            self._send(*said) if isinstance(said, tuple) else self._send(200, _completion(said))

        def _send(self, status: int, content: Body) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield ChatServer(f"http://127.0.0.1:{server.server_port}/v1", bodies)
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


def _completion(text: str) -> Body:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
