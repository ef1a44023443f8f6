"""How an answer came about and what it cost; budgets and what is reserved of them; batches and their lines."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """Adds the columns and makes the tables."""
    present = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("answers")}
    for column in (
        sa.Column("fingerprint", sa.String(200), nullable=False, server_default=""),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="1"),
        sa.Column("cost_microusd", sa.BigInteger),
    ):
        if column.name not in present:
            op.add_column("answers", column)
    _make_budgets()
    _make_batches()


def _make_budgets() -> None:
    op.create_table(
        "budgets",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("spent_microusd", sa.BigInteger, nullable=False),
        sa.Column("reserved_microusd", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "reservations",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("budget", sa.String(200), nullable=False, index=True),
        sa.Column("microusd", sa.BigInteger, nullable=False),
        sa.Column("cost_microusd", sa.BigInteger),
        sa.Column("state", sa.String(10), nullable=False, index=True),
        sa.Column("worker", sa.String(200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )


def _make_batches() -> None:
    op.create_table(
        "batches",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("base_url", sa.String(500), nullable=False),
        sa.Column("batch_id", sa.String(200), nullable=False, server_default=""),
        sa.Column("state", sa.String(20), nullable=False, index=True),
        sa.Column("worker", sa.String(200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "batch_lines",
        sa.Column("batch", sa.String(64), sa.ForeignKey("batches.name"), primary_key=True),
        sa.Column("key", sa.String(64), primary_key=True, index=True),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("prompt_version", sa.String(100), nullable=False),
        sa.Column("input_digest", sa.String(64), nullable=False),
    )
