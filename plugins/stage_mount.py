"""An application of ours in, its place inside Airflow out: under an address, in the menu, and at no cost until it is asked."""

from collections.abc import Awaitable, Callable
from typing import Any

Asgi = Callable[[Any, Any, Any], Awaitable[None]]


def mounted(make: Callable[[], Asgi], prefix: str, name: str) -> dict[str, Any]:
    """An entry of a plugin's `fastapi_apps`: plugins are loaded by every process, and FastAPI takes seconds to load."""
    made: list[Asgi] = []

    async def when_asked(scope: Any, receive: Any, send: Any) -> None:
        if not made:
            made.append(make())
        await made[0](scope, receive, send)

    return {"app": when_asked, "url_prefix": prefix, "name": name}


def in_menu(name: str, address: str, route: str) -> dict[str, str]:
    """An entry of a plugin's `external_views`, under Browse."""
    # Relative: Airflow's pages name their base path (`<base href>`), and would not put it before a rooted address.
    return {"name": name, "href": address.lstrip("/"), "destination": "nav", "category": "browse", "url_route": route}
