"""A default port in, a port that is free out, with a word on what took the default."""

import logging
import socket

import psutil

from midefics.errors import ServiceError

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
TRIES = 50


def choose_port(name: str, default: int, asked_for: int | None, variable: str) -> int:
    """The port asked for; else the default, or the next free one after it.

    Raises:
        ServiceError: the port asked for is taken, or there is no free one near the default.
    """
    if asked_for:
        if not is_free(asked_for):
            raise ServiceError(
                f"{name}: port {asked_for} is taken{_by_whom(asked_for)}; stop that, or set {variable} to another port"
            )
        return asked_for
    for port in range(default, default + TRIES):
        if is_free(port):
            if port != default:
                log.warning("%s: port %s is taken%s; using %s", name, default, _by_whom(default), port)
            return port
    raise ServiceError(f"{name}: ports {default} to {default + TRIES - 1} are all taken; set {variable} to a free one")


def is_free(port: int) -> bool:
    """Whether a server could listen there: on this machine alone, and on every address."""
    for host in (HOST, ""):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # As servers do: a port whose last connections are still winding down counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def unused_port() -> int:
    """Any port that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _by_whom(port: int) -> str:
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:
        return ""
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and tuple(connection.laddr)[1:] == (port,) and connection.pid:
            try:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
            except psutil.Error:
                return f" by process {connection.pid}"
    return ""
