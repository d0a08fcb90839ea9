"""Runs: what came of a trader's course through a session."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TEXTS = (
    "session", "entry", "sweep", "trader", "params", "seed", "dataset", "spec", "status", "reason", "digests",
    "fingerprint",
)  # fmt: skip


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in TEXTS),
        sa.Column("engine", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("counts", "summary", "journal")),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
    )
    for name in ("session", "sweep", "fingerprint"):
        op.create_index(f"ix_runs_{name}", "runs", [name])


def downgrade() -> None:
    raise NotImplementedError("a run is written once: there is no way back; restore a backup")
