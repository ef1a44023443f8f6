"""Great Expectations' rendered documents in, Data Docs pages out that need no network and tell nobody.

The stock pages fetch styles and scripts from six hosts, leave the index empty without them, and show a logo from its
maker's server whose address carries the project's id. These templates come first; the rest are the stock ones.
Great Expectations loads this module by its name, see `expectations`.
"""

from typing import Any

from great_expectations.render.view.view import DefaultJinjaIndexPageView, DefaultJinjaPageView  # noqa: TID253 (loaded by it)
from jinja2 import ChoiceLoader, PackageLoader

_TEMPLATES = PackageLoader("midefics", "services/data_docs")


class Page(DefaultJinjaPageView):  # type: ignore[misc] # untyped
    """A suite, or one run of it."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.env.loader = ChoiceLoader([_TEMPLATES, self.env.loader])


class Index(DefaultJinjaIndexPageView):  # type: ignore[misc] # untyped
    """The list of runs and suites."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.env.loader = ChoiceLoader([_TEMPLATES, self.env.loader])
