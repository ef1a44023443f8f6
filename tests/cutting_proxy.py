"""A TCP proxy that breaks connections in the middle of what they carry."""

import contextlib
import socket
import struct
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class CuttingProxy:
    """Forwards to a server; the first `cuts` connections that carry more than `after` bytes one way are reset there."""

    def __init__(self, target: str, after: int, cuts: int, *, answers: bool = False) -> None:
        self._target = (urlsplit(target).hostname, urlsplit(target).port)
        self._after, self._cuts, self._answers, self.done = after, cuts, answers, 0
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
                for source, target, cut in ((client, server, not self._answers), (server, client, self._answers)):
                    threading.Thread(target=self._forward, args=(source, target, client, cut), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, client: socket.socket, cut: bool) -> None:
        carried = 0
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                carried += len(chunk)
                if cut and carried > self._after and self._may_cut():
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    break
                target.sendall(chunk)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _may_cut(self) -> bool:
        with self._lock:
            allowed = self.done < self._cuts
            self.done += allowed
            return allowed
