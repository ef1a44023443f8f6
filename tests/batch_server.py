"""A server of OpenAI's files and batches whose every outcome the test chooses; it counts what a bill would."""

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD = json.dumps({"turns": [{"question": f"What is it, {n}?", "answer": "A nevus."} for n in range(4)]})


NO_SCHEMA = {
    "status_code": 400,
    "body": {"error": {"message": "'json_schema' is not supported", "param": "response_format"}},
}


class BatchService:
    """Files, batches, and what is to become of them."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.outcomes: list[str] = []
        """Of the batches to come: `good` where none is left, `half`, `expired`, `empty`, `failing`, `unreadable`,
        `invalid`, `no schema`."""
        self.looks_before_done = 1
        self.largest = 10_000
        """Lines beyond which a batch fails for its tokens."""
        self.refuses: tuple[str, ...] = ()
        """Parameters that the model does not take: a line that has one is refused for the first."""
        self.paid: list[str] = []
        """Keys, once for each time that they are charged."""
        self.kill_at: tuple[str, int] | None = None
        """A step and a process: it is killed when it has had its effect, before it hears of it."""
        self.url = ""

    def step(self, name: str) -> None:
        """Kills whoever is to be killed at this step."""
        if self.kill_at and self.kill_at[0] == name:
            os.kill(self.kill_at[1], signal.SIGKILL)
            self.kill_at = None

    def upload(self, raw: bytes) -> dict[str, Any]:
        """Keeps the JSON lines of a form."""
        lines = [line for line in raw.decode().splitlines() if line.startswith('{"custom_id"')]
        number = f"file-{len(self.files)}"
        self.files[number] = "\n".join(lines)
        self.step("upload")
        return {"id": number, "object": "file", "bytes": 1, "created_at": 1, "filename": "x", "purpose": "batch"}

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """Makes a batch."""
        number = f"batch_{len(self.batches)}"
        outcome = self.outcomes.pop(0) if self.outcomes else "good"
        batch = {"id": number, "object": "batch", "endpoint": body["endpoint"], "completion_window": "24h"}
        batch |= {"created_at": 1, "input_file_id": body["input_file_id"], "metadata": body["metadata"]}
        self.batches[number] = batch | {"status": "validating", "outcome": outcome, "looks": 0}
        self.step("create")
        return self.batches[number]

    def retrieve(self, number: str) -> dict[str, Any]:
        """Shows a batch; it ends after some looks."""
        batch = self.batches[number]
        batch["looks"] += 1
        if batch["looks"] >= self.looks_before_done and batch["status"] == "validating":
            self._end(batch)
        self.step("retrieve")
        return batch

    def content(self, number: str) -> str:
        """A file's text."""
        self.step("content")
        return self.files[number]

    def _end(self, batch: dict[str, Any]) -> None:
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        outcome = batch["outcome"]
        if len(lines) > self.largest or outcome == "invalid":
            code = "token_limit_exceeded" if outcome != "invalid" else "invalid_model"
            errors = {"object": "list", "data": [{"code": code, "message": "no such luck"}]}
            batch |= {"status": "failed", "errors": errors}
            return
        batch["status"] = "expired" if outcome == "expired" else "completed"
        keys = [line["custom_id"] for line in lines]
        refused = {line["custom_id"]: name for line in lines for name in self.refuses if name in line["body"]}
        if refused:
            batch["error_file_id"] = f"file-{len(self.files)}"
            self.files[batch["error_file_id"]] = "\n".join(json.dumps(_refusal(*pair)) for pair in refused.items())
            return
        answered = {"good": keys, "unreadable": keys, "empty": [], "failing": []}.get(outcome, keys[::2])
        text = "no JSON" if outcome == "unreadable" else GOOD
        code = "batch_expired" if outcome == "expired" else "server_error"
        if outcome == "no schema":
            answered = [line["custom_id"] for line in lines if line["body"]["response_format"]["type"] != "json_schema"]
        self.paid += answered
        failed = [{"custom_id": key, "response": NO_SCHEMA if outcome == "no schema" else None, "error": {"code": code, "message": "not this time"}}
                  for key in keys if key not in answered]  # fmt: skip
        done = [{"custom_id": key, "response": {"status_code": 200, "body": _completion(text)}, "error": None}
                for key in reversed(answered)]  # fmt: skip
        for name, found in (("output_file_id", done), ("error_file_id", failed)):
            if found and outcome != "empty":
                batch[name] = f"file-{len(self.files)}"
                self.files[batch[name]] = "\n".join(json.dumps(line) for line in found)


def _refusal(key: str, parameter: str) -> dict[str, Any]:
    error = {"code": "unsupported_parameter", "param": parameter, "message": f"no {parameter}", "type": "invalid"}
    return {"custom_id": key, "response": {"status_code": 400, "body": {"error": error}}, "error": None}


def _completion(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}


@contextmanager
def batch_service() -> Iterator[BatchService]:
    """Runs the server on a free port."""
    service = BatchService()

    class Handler(BaseHTTPRequestHandler):
        def _send(self, found: object) -> None:
            raw = (found if isinstance(found, str) else json.dumps(found)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            if path == "/v1/batches":
                self._send({"object": "list", "data": list(service.batches.values())[::-1], "has_more": False})
            elif found := re.fullmatch(r"/v1/batches/(.+)", path):
                self._send(service.retrieve(found[1]))
            elif found := re.fullmatch(r"/v1/files/(.+)/content", path):
                self._send(service.content(found[1]))
            else:
                self._send({"object": "list", "data": [{"id": "gpt-3.5-turbo", "object": "model"}]})

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            self._send(service.upload(raw) if self.path == "/v1/files" else service.create(json.loads(raw)))

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
