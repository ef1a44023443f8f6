"""The tables that ledgers had before their steps were counted: such a ledger keeps those that it has."""

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    """Makes answers and releases."""
    present = sa.inspect(op.get_bind()).get_table_names()
    if "answers" not in present:
        _make_answers()
    if "releases" not in present:
        _make_releases()


def _make_answers() -> None:
    op.create_table(
        "answers",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("prompt_version", sa.String(100), nullable=False, index=True),
        sa.Column("input_digest", sa.String(64), nullable=False, index=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("finish_reason", sa.String(50), nullable=False),
        sa.Column("prompt_tokens", sa.Integer, nullable=False),
        sa.Column("completion_tokens", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )


def _make_releases() -> None:
    op.create_table(
        "releases",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("image_sha256", sa.String(64), nullable=False, index=True),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("released", sa.Boolean, nullable=False),
        sa.Column("row", sa.String(300), nullable=False),
        sa.Column("decided_by", sa.String(200), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
    )
