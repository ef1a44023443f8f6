"""A form's headers in, whether our own page sent it out: another site's page has the browser's cookies with it as well."""

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit


def from_our_page(headers: Mapping[str, str], origins: Collection[str]) -> bool:
    """Whether a form came from a page of this host.

    Browsers say so themselves (`Sec-Fetch-Site`) on https and localhost; over plain http `Origin` has to name the host
    that was asked. What says neither is no browser's form, and is refused.

    Args:
        headers: of the request, names in lower case.
        origins: further ones that are ours, where a proxy renames the host: `https://airflow.example.org`.
    """
    if site := headers.get("sec-fetch-site"):
        return site == "same-origin"
    origin = headers.get("origin", "")
    return origin in origins or (bool(origin) and urlsplit(origin).netloc == headers.get("host"))
