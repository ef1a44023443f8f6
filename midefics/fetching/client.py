"""Addresses in, answers out: a polite and wary HTTP client of one archive.

Polite: a maximum rate, one pause for everybody where the archive asks for it, retries that wait longer each time. Wary:
only https and only the hosts that are allowed, at every hop; nothing larger than it may be; no wait without an end.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar

import httpx
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from midefics import __version__
from midefics.config import FetchConfig
from midefics.fetching.outcome import UnavailableError
from midefics.fetching.pace import Pace
from midefics.services.rate_headers import retry_after

T = TypeVar("T")

MAX_REDIRECTS = 5
MAX_PAGE = 32 * 2**20
"""Bytes of a page of JSON, a licence's text or a listing."""
SLOWEST = 1024
"""Bytes per second under which a connection counts as stalled."""
LONGEST_WAIT_S = 30.0
"""Between two tries."""
LONGEST_PAUSE_S = 900.0
"""That an archive may ask for; a longer one ends the run."""
PAUSES = 20
"""How often one request may be told to wait before it counts as failed."""
GONE = (404, 410)
TELLS_TO_WAIT = (429, 503)


class Client:
    """One archive's client, for any number of threads; a context that closes its connections."""

    def __init__(self, spec: FetchConfig, home: str, hosts: tuple[str, ...]) -> None:
        """Takes the archive's own address and hosts, which the configuration may replace."""
        base = spec.base_url or home
        self.base = base if base.endswith("/") else base + "/"
        self._spec = spec
        self._home = httpx.URL(self.base)
        self._hosts = hosts if spec.allowed_hosts is None else spec.allowed_hosts
        self._pace = Pace(spec.requests_per_second)
        self._http = httpx.Client(
            timeout=spec.timeout_s,
            limits=httpx.Limits(max_connections=spec.concurrency + 1),
            headers={"User-Agent": f"midefics/{__version__}", "Accept-Encoding": "identity"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def read(self, url: str, parse: Callable[[bytes], T]) -> T:
        """A page as `parse` understands it; it is asked for again where that raises ValueError.

        Raises:
            UnavailableError: after the last try.
        """

        def once() -> T:
            with self.answer(url) as response:
                content = b"".join(self.chunks(response, MAX_PAGE))
            try:
                return parse(content)
            except ValueError as error:
                raise UnavailableError("malformed page", " ".join(str(error).split())[:300], again=True) from error

        return self.tried(once)

    def tried(self, once: Callable[[], T]) -> T:
        """Repeats it as often as `fetch.attempts` says, as long as another try may help."""
        retrying = Retrying(
            stop=stop_after_attempt(self._spec.attempts),
            wait=wait_random_exponential(multiplier=self._spec.retry_wait_s, max=LONGEST_WAIT_S),
            retry=retry_if_exception(lambda error: isinstance(error, UnavailableError) and error.again),
            reraise=True,
        )
        return retrying(once)

    @contextmanager
    def answer(self, url: str, headers: Mapping[str, str] | None = None) -> Iterator[httpx.Response]:
        """The answer to a GET, its body not read yet: a success (2xx) or a 304.

        Raises:
            UnavailableError: any other answer, or none; what breaks while the body is read is told the same way.
        """
        try:
            response = self._followed(url, headers or {})
            try:
                _refuse(response)
                yield response
            finally:
                response.close()
        except httpx.TimeoutException as error:
            raise UnavailableError("stalled", f"nothing came for {self._spec.timeout_s:g} s", passing=True) from error
        except (httpx.TransportError, httpx.StreamError) as error:
            detail = str(error) or type(error).__name__
            raise UnavailableError("connection broken", detail, passing=True) from error

    def chunks(self, response: httpx.Response, limit: int) -> Iterator[bytes]:
        """The body as it comes, not decoded.

        Raises:
            UnavailableError: larger than `limit`, or it drips.
        """
        started, received = time.monotonic(), 0
        for chunk in response.iter_raw():
            received += len(chunk)
            if received > limit:
                raise UnavailableError("too large", f"more than the {limit:,} bytes that are allowed")
            seconds = time.monotonic() - started
            if seconds > self._spec.timeout_s and received < SLOWEST * seconds:
                raise UnavailableError("stalled", f"{received:,} bytes in {seconds:.0f} s", passing=True)
            yield chunk

    def _followed(self, url: str, headers: Mapping[str, str]) -> httpx.Response:
        for _ in range(MAX_REDIRECTS + 1):
            response = self._sent(self._allowed(url), headers)
            if not response.has_redirect_location:
                return response
            response.close()
            url = str(response.url.join(response.headers["location"]))
        raise UnavailableError("redirected too often", f"more than {MAX_REDIRECTS} times")

    def _allowed(self, text: str) -> httpx.URL:
        try:
            url = httpx.URL(text)
        except httpx.InvalidURL as error:
            raise UnavailableError("link not allowed", f"{text[:200]!r}: {error}") from error
        at_home = (url.scheme, url.host, url.port) == (self._home.scheme, self._home.host, self._home.port)
        if url.userinfo or not (at_home or (url.scheme == "https" and url.port is None and url.host in self._hosts)):
            detail = f"{url.scheme}://{url.netloc.decode()} is neither {self._home.host} nor in fetch.allowed_hosts"
            raise UnavailableError("link not allowed", detail)
        return url

    def _sent(self, url: httpx.URL, headers: Mapping[str, str]) -> httpx.Response:
        for told in range(PAUSES):
            self._pace.enter()
            response = self._http.send(self._http.build_request("GET", url, headers=dict(headers)), stream=True)
            asked = retry_after(response.headers)
            if response.status_code not in TELLS_TO_WAIT or (response.status_code != 429 and asked is None):
                return response
            response.close()
            pause = min(self._spec.retry_wait_s * 2**told, LONGEST_WAIT_S) if asked is None else asked
            if pause > LONGEST_PAUSE_S:
                break
            self._pace.pause(pause)
        detail = f"HTTP {response.status_code} {told + 1} times, the last asks for a pause of {pause:.0f} s"
        raise UnavailableError("told to wait", detail, again=False, passing=True)


def _refuse(response: httpx.Response) -> None:
    code = response.status_code
    if response.is_success or code == 304:
        return
    if code in GONE:
        raise UnavailableError("not in the archive", f"HTTP {code}")
    if response.is_server_error or code in (408, 425):
        raise UnavailableError("server error", f"HTTP {code}", passing=True)
    raise UnavailableError("refused by the archive", f"HTTP {code}", again=code == 416)
