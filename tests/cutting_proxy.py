"""A TCP proxy that breaks connections in the middle of what they send."""

import contextlib
import socket
import struct
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class CuttingProxy:
    """Forwards to a server; the first `cuts` connections that send it more than `after` bytes are reset there."""

    def __init__(self, target: str, after: int, cuts: int) -> None:
        self._target = (urlsplit(target).hostname, urlsplit(target).port)
        self._after, self._cuts, self.done = after, cuts, 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                threading.Thread(target=self._send, args=(client, server), daemon=True).start()
                threading.Thread(target=_forward, args=(server, client), daemon=True).start()

    def _send(self, client: socket.socket, server: socket.socket) -> None:
        sent = 0
        with contextlib.suppress(OSError), client, server:
            while chunk := client.recv(65536):
                sent += len(chunk)
                if sent > self._after and self._may_cut():
                    _reset(client)
                    return
                server.sendall(chunk)

    def _may_cut(self) -> bool:
        with self._lock:
            allowed = self.done < self._cuts
            self.done += allowed
            return allowed


def _forward(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError), source, target:
        while chunk := source.recv(65536):
            target.sendall(chunk)


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
