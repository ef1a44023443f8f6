"""llmock in, the same server out with faults at random: `uvicorn --factory midefics.bench.faulty_server:faulty`.

A share of the chats each: refused for a rate that nobody names, failed, held back until the client gives up, cut off while
answered, answered with half a body, answered well with half a conversation in it.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

FAULTS = {"429": 0.05, "500": 0.03, "stall": 0.02, "cut": 0.02, "truncated": 0.02, "malformed": 0.01}
STALL_S = 20.0
SEED = 7
HALVES = ("truncated", "malformed")

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]


def faulty() -> Callable[[Message, Receive, Send], Awaitable[None]]:
    """The server's application with faults in front of it; the same ones in the same order in each process."""
    from llmock.main import create_app

    application, draw = create_app(), random.Random(SEED)  # noqa: S311 (faults)

    async def met(scope: Message, receive: Receive, send: Send) -> None:
        is_chat = scope["type"] == "http" and scope["path"].endswith("/chat/completions")
        fault = _drawn(draw) if is_chat else ""
        if fault in ("429", "500"):
            await asyncio.sleep(0.01)
            await _answer(send, int(fault), json.dumps({"error": {"message": fault, "code": "x"}}).encode())
        elif fault == "cut":
            await send(_start(200, 9000))
            await send({"type": "http.response.body", "body": b"{", "more_body": True})
            raise ConnectionAbortedError("cut off, as was drawn")
        else:
            await asyncio.sleep(STALL_S if fault == "stall" else 0)
            await application(scope, receive, _halved(send, fault) if fault in HALVES else send)

    return met


def _drawn(draw: random.Random) -> str:
    left = draw.random()
    for fault, share in FAULTS.items():
        left -= share
        if left < 0:
            return fault
    return ""


def _halved(send: Send, fault: str) -> Send:
    """Sends half of what the application sends: of the body, or of the conversation in it."""
    whole = bytearray()

    async def pass_on(message: Message) -> None:
        whole.extend(message.get("body", b""))
        if message["type"] == "http.response.body" and not message.get("more_body"):
            await _answer(
                send, 200, _half_told(bytes(whole)) if fault == "malformed" else bytes(whole[: len(whole) // 2])
            )

    return pass_on


def _half_told(body: bytes) -> bytes:
    completion = json.loads(body)
    message = completion["choices"][0]["message"]
    message["content"] = message["content"][: len(message["content"]) // 2]
    return json.dumps(completion).encode()


async def _answer(send: Send, status: int, body: bytes) -> None:
    await send(_start(status, len(body)))
    await send({"type": "http.response.body", "body": body})


def _start(status: int, length: int) -> Message:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(length).encode())]
    return {"type": "http.response.start", "status": status, "headers": headers}
