"""How well each run can be repeated, as the newest check of it found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "run_labels",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("run", "label", "reason")),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("equal", "repeats")),
        sa.Column("witnesses", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("journal_bytes", "journal_at", "checked_at")),
        sa.PrimaryKeyConstraint("run", name="pk_run_labels"),
        sa.ForeignKeyConstraint(["run"], ["runs.id"], name="fk_run_labels_run"),
    )


def downgrade() -> None:
    raise NotImplementedError("labels would be lost: there is no way back; restore a backup")
