"""Word lists in, sets of words out: people's names from Faker, and words of captions that are nobody's name from `lists/`.

All are read at their first use and kept.
"""

import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib import import_module, resources

SHORTEST = 3
"""Letters; shorter names (An, Li) are mostly other words."""


@cache
def given_names() -> frozenset[str]:
    """First names of some ninety countries, in Latin letters."""
    return frozenset(_names("first_"))


@cache
def family_names() -> frozenset[str]:
    """Last names of the same countries."""
    return frozenset(_names("last_"))


@cache
def after_eponyms() -> frozenset[str]:
    """What follows an eponym: "Arnold Chiari malformation" is no person. In lower case, as are all that follow here."""
    return frozenset(_listed("after_eponyms").split())


@cache
def eponyms() -> frozenset[str]:
    """The first two words of those that stand without such a word too, where Faker has one of them as a name."""
    return frozenset(_listed("eponyms").splitlines())


@cache
def ordinary_words() -> frozenset[str]:
    """Words that begin with a capital where a caption begins; with the thousand that Faker makes its sentences of."""
    from faker.providers.lorem.en_US import Provider

    return after_eponyms() | frozenset(_listed("not_names").split()) | frozenset(Provider.word_list)


def _listed(name: str) -> str:
    return (resources.files(__package__) / "lists" / f"{name}.txt").read_text(encoding="utf-8")


def _names(part: str) -> Iterator[str]:
    from faker.providers import person

    for module in pkgutil.iter_modules(person.__path__):
        provider = import_module(f"{person.__name__}.{module.name}").Provider
        for attribute, values in vars(provider).items():
            if part in attribute and isinstance(values, (tuple, list, dict)):
                yield from (name for name in values if isinstance(name, str) and _in_latin_letters(name))


def _in_latin_letters(name: str) -> bool:
    return len(name) >= SHORTEST and name.istitle() and name[0] < "\u0250"
