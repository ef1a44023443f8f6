"""A way to know who asks and what they may do in, the review page as an ASGI application out.

It knows nothing of Airflow; `plugins/stage_review.py` mounts it there. Pages quote what archives and models wrote: all of it
is escaped, the only script is ours, and nothing is loaded from elsewhere.
"""

from collections.abc import Awaitable, Callable, Collection
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from midefics.errors import DataError
from midefics.records import Turn
from midefics.review.desk import Desk
from midefics.review.form import MAX_FORM, Asked, Decided, read_asked, read_decided
from midefics.review.page import FILES, rendered, static
from midefics.review.same_site import from_our_page
from midefics.services import Services

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}


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
            view = desk.view(decided.asked, reviewer, True)._replace(
                typed=typed, problem=str(error), token=getattr(error, "token", "")
            )
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
