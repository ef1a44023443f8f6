"""The quarantine: what is in it, and a person's word that lets a row out."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from midefics.commands.options import AsJson, Config, Debug, chosen_config, out
from midefics.config import load_settings
from midefics.errors import DataError
from midefics.records import Manifest, Rejected
from midefics.services import Services
from midefics.services.releases import Decision, Released
from midefics.stages.checks import UNREADABLE

app = typer.Typer(no_args_is_help=True, help="Look at what was rejected and why, and let rows out.")

NEVER = {UNREADABLE}
"""Reasons that no word helps against: there is no picture."""

Reference = Annotated[
    str | None, typer.Argument(metavar="[MANIFEST]", help="Whose quarantine. Unset: the newest validation's.")
]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="As `midefics quarantine ls` shows them.")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who decides.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="For those who ask later.")]


@app.command()
def ls(
    manifest: Reference = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Only what was rejected for this.")] = None,
    config: Config = "demo",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """List rejected rows with their reasons, of any stage's output."""
    del debug
    services = Services(load_settings())
    found = _manifest(services, config, manifest)
    rows = [row for row in services.storage.rejected(found) if reason in (None, row.reason)]
    released = services.releases.current()
    if as_json:
        for row in rows:
            print(row.model_dump_json())
        return
    out.print(_table(found, rows, released))


@app.command()
def release(
    ids: Ids,
    by: By,
    why: Why,
    manifest: Annotated[str | None, typer.Option("--manifest", help="Whose quarantine they are in.")] = None,
    config: Config = "demo",
    debug: Debug = False,
) -> None:
    """Let rows through from the next validation on. It holds for this file and the reasons shown, and for no other."""
    del debug
    services = Services(load_settings())
    found = _manifest(services, config, manifest)
    if found.kind != "validated":
        raise DataError(f"{found.uri}: only what validation rejected can be released; elsewhere there is no picture")
    rows = _named(ids, found, services)
    services.releases.decide(
        Decision(image_sha256=row.origin, reason=reason, released=True, row=row.id, decided_by=by, why=why)
        for row in rows
        for reason in (row.reason, *row.also)
    )
    print(f"released {', '.join(f'{row.id} ({_reasons(row)})' for row in rows)}; `midefics validate` lets them through")


@app.command()
def unrelease(ids: Ids, by: By, why: Why, debug: Debug = False) -> None:
    """Take releases back: from the next validation on the checks hold again."""
    del debug
    services = Services(load_settings())
    current = services.releases.current()
    held = {
        (one.row, one.reason): one
        for one in services.releases.history()
        if one.released and (one.image_sha256, one.reason) in current
    }
    for id_ in ids:
        if id_ not in {row for row, _ in held}:
            raise DataError(
                f"{id_} is not released; released are {', '.join(sorted(row for row, _ in held)) or 'none'}"
            )
    withdrawn = [one for (row, _), one in held.items() if row in ids]
    services.releases.decide(
        one.model_copy(update={"released": False, "decided_by": by, "why": why}) for one in withdrawn
    )
    print(f"no longer released: {', '.join(f'{one.row} ({one.reason})' for one in withdrawn)}")


def _manifest(services: Services, config: str, reference: str | None) -> Manifest:
    if reference:
        return services.storage.find(reference)
    name = chosen_config(config).name
    if newest := services.storage.latest(name, "validated"):
        return newest
    raise DataError(f"nothing has been validated for {name} yet; run `midefics validate`, or give a manifest")


def _named(ids: list[str], manifest: Manifest, services: Services) -> list[Rejected]:
    rejected = {row.id: row for row in services.storage.rejected(manifest)}
    for id_ in ids:
        if id_ not in rejected:
            raise DataError(f"{id_} is not in the quarantine of {manifest.uri}; `midefics quarantine ls` shows what is")
        if {rejected[id_].reason, *rejected[id_].also} & NEVER:
            raise DataError(f"{id_}: {rejected[id_].reason}, which nobody can release; mend the file in the archive")
    return [rejected[id_] for id_ in dict.fromkeys(ids)]


def _reasons(row: Rejected) -> str:
    return ", ".join((row.reason, *row.also))


def _table(manifest: Manifest, rows: list[Rejected], released: Released) -> Table:
    table = Table(title=f"quarantine of {manifest.uri}: {len(rows)} rows", title_justify="left")
    for column in ("id", "reason", "detail", "origin"):
        table.add_column(column, overflow="fold")
    for row in rows:
        word = _reasons(row) + (" (released)" if (row.origin, row.reason) in released else "")
        origin = row.origin[:16] if manifest.kind == "validated" else row.origin
        table.add_row(*(escape(text) for text in (row.id, word, row.detail, origin)))
    return table
