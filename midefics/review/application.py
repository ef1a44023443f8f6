"""A way to know who asks and what they may do in, the review page as an ASGI application out.

It knows nothing of Airflow; `plugins/stage_review.py` mounts it there. Pages quote what archives and models wrote: all of it
is escaped, the only script is ours, and nothing is loaded from elsewhere.
"""

from collections.abc import Awaitable, Callable, Collection
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from midefics.errors import DataError, StorageError
from midefics.records import Turn
from midefics.review.edits import edited_turns
from midefics.review.form import MAX_FORM, Asked, Decided, read_asked, read_decided
from midefics.review.page import FILES, Progress, View, of_person, rendered, static
from midefics.review.queue import Entry, Queue
from midefics.review.same_site import from_our_page
from midefics.services import Services
from midefics.services.reviews import MAX_REASON, Review

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}


class Desk:
    """What one person sees and does."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._queue = Queue(services)

    def view(self, asked: Asked, reviewer: str, may_decide: bool) -> View:
        """The page that was asked for.

        Raises:
            HTTPException: 404, there is no such conversation.
        """
        sample = self._sample(asked)
        asked = asked.model_copy(update={"at": min(asked.at, len(sample))})
        entry = sample[asked.at - 1]
        reviews = self._services.reviews.current(entry.key.row for entry in sample)
        mine = of_person(reviews, reviewer)
        taken = [mine[entry.key] for entry in sample if entry.key in mine]
        progress = Progress(len(taken), sum(review.decision == "reject" for review in taken), len(sample))
        others = [review for review in reviews if review.key == entry.key and review.reviewer != reviewer]
        shown = others if entry.key in mine else ()
        row, sources = self._queue.row(entry), self._queue.sources(asked.sample)
        return View(asked, entry, row, progress, sources, mine.get(entry.key), shown, may_decide)

    def decide(self, decided: Decided, reviewer: str) -> Asked:
        """Takes a decision down; returns the next conversation that the person has not decided on.

        Raises:
            DataError: the edit is no conversation, or the rejection has no reason.
            HTTPException: 404, there is no such conversation.
        """
        sample = self._sample(decided.asked)
        entry = next((entry for entry in sample if entry.key == (decided.row, decided.turns_sha256)), None)
        if entry is None:
            raise HTTPException(404, "this conversation is not in the sample any more; it may have been written anew")
        self._services.reviews.decide([self._review(decided, entry, reviewer)])
        return decided.asked.model_copy(update={"at": self._next(decided.asked.at, sample, reviewer)})

    def _review(self, decided: Decided, entry: Entry, reviewer: str) -> Review:
        if decided.decision == "reject" and not decided.reason:
            raise DataError("say why it is rejected, in a word or two")
        if len(decided.reason) > MAX_REASON:
            raise DataError(f"the reason is {len(decided.reason):,} characters long, at most {MAX_REASON:,} are kept")
        turns = edited_turns(self._queue.row(entry).turns, decided.pairs) if decided.decision == "edit" else ()
        return Review(
            row=entry.key.row,
            turns_sha256=entry.key.turns_sha256,
            source=entry.source,
            decision=decided.decision,
            turns=turns,
            reason=decided.reason,
            reviewer=reviewer,
        )

    def _next(self, at: int, sample: list[Entry], reviewer: str) -> int:
        mine = of_person(self._services.reviews.current(entry.key.row for entry in sample), reviewer)
        places = [*range(at + 1, len(sample) + 1), *range(1, at)]
        return next((place for place in places if sample[place - 1].key not in mine), at)

    def _sample(self, asked: Asked) -> list[Entry]:
        try:
            sample = self._queue.take(asked.sample)
        except (DataError, StorageError) as error:
            raise HTTPException(404, str(error)) from error
        if not sample:
            raise HTTPException(404, f"no conversation of source {asked.sample.source}")
        return sample


def review_application(
    services: Services,
    reader: Callable[..., Any],
    may_decide: Callable[..., Any],
    origins: Collection[str] = (),
) -> FastAPI:
    """The page, its files, and where its form goes.

    Args:
        services: where conversations and decisions are.
        reader: a FastAPI dependency: the name of who asks; refuses strangers.
        may_decide: a FastAPI dependency: whether they may decide.
        origins: addresses under which we are known besides the host that is asked.
    """
    application = FastAPI(
        title="midefics review", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(reader)]
    )
    application.middleware("http")(_with_headers)
    desk = Desk(services)
    name_of, permission = Annotated[str, Depends(reader)], Annotated[bool, Depends(may_decide)]

    @application.get("/")
    def page(request: Request, reviewer: name_of, allowed: permission) -> HTMLResponse:  # type: ignore[valid-type]
        return HTMLResponse(rendered(desk.view(_asked(request), reviewer, allowed)))

    @application.get("/static/{name}")
    def file(name: str) -> Response:
        if name not in FILES:
            raise HTTPException(404, "no such file")
        return Response(static(name), media_type=FILES[name])

    def form(request: Request, allowed: permission, body: Annotated[bytes, Depends(_body)]) -> Decided:  # type: ignore[valid-type]
        if not from_our_page(request.headers, origins):
            raise HTTPException(403, "decisions are only taken from this page")
        if not allowed:
            raise HTTPException(403, "deciding needs the right to edit the DAG midefics_data")
        try:
            return read_decided(body)
        except DataError as error:
            raise HTTPException(422, str(error)) from error

    @application.post("/decide")
    def decide(reviewer: name_of, decided: Annotated[Decided, Depends(form)]) -> Response:  # type: ignore[valid-type]
        try:
            return RedirectResponse(desk.decide(decided, reviewer).address(), 303)
        except DataError as error:
            typed = [Turn(question=question, answer=answer) for question, answer in decided.pairs]
            view = desk.view(decided.asked, reviewer, True)._replace(typed=typed, problem=str(error))
            return HTMLResponse(rendered(view), 422)

    return application


async def _with_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    answer = await call_next(request)
    answer.headers.update(HEADERS)
    return answer


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM:
            raise HTTPException(413, f"a form of more than {MAX_FORM:,} bytes")
    return bytes(body)


def _asked(request: Request) -> Asked:
    try:
        return read_asked(request.url.query)
    except DataError as error:
        raise HTTPException(404, str(error)) from error
