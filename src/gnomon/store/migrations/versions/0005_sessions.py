"""Sessions on the wire, the bots that trade in them, their keys, and what their runtimes say about themselves."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def text(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def whole(*names: str, needed: bool = True, kind: Any = sa.BigInteger) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind(), nullable=not needed) for name in names]


def upgrade() -> None:
    op.create_table(
        "bots",
        *text("id", "workspace", "name"),
        *whole("revision", kind=sa.Integer),
        *text("kind", "tier", "concurrency", "status", "note"),
        sa.Column("session", sa.Text()),
        sa.Column("entry", sa.Text()),
        *whole("created_at", "updated_at"),
        sa.PrimaryKeyConstraint("id", name="pk_bots"),
        sa.UniqueConstraint("workspace", "name", name="uq_bots_name"),
    )
    op.create_index("ix_bots_session", "bots", ["session"])
    op.create_table(
        "bot_revisions",
        *text("bot"),
        *whole("revision", kind=sa.Integer),
        *text("spec"),
        *whole("created_at"),
        sa.PrimaryKeyConstraint("bot", "revision", name="pk_bot_revisions"),
        sa.ForeignKeyConstraint(["bot"], ["bots.id"], name="fk_bot_revisions_bot"),
    )
    op.create_table(
        "bot_keys",
        *text("api_key", "bot", "kind", "secret", "public_key", "permissions", "ip_allow"),
        *whole("expires_at", needed=False),
        *whole("created_at"),
        sa.PrimaryKeyConstraint("api_key", name="pk_bot_keys"),
        sa.ForeignKeyConstraint(["bot"], ["bots.id"], name="fk_bot_keys_bot"),
    )
    op.create_index("ix_bot_keys_bot", "bot_keys", ["bot"])
    _create_sessions()
    op.create_table(
        "telemetry",
        *text("bot", "instance"),
        *whole("seq"),
        *text("workspace"),
        *whole("received_at"),
        *text("state", "document"),
        sa.PrimaryKeyConstraint("bot", "instance", "seq", name="pk_telemetry"),
        sa.ForeignKeyConstraint(["bot"], ["bots.id"], name="fk_telemetry_bot"),
    )
    op.create_index("ix_telemetry_received", "telemetry", ["bot", "received_at"])


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        *text("id", "workspace", "name", "status"),
        *whole("enabled", kind=sa.SmallInteger),
        *text("spec", "seed", "config", "pace"),
        *whole("port", kind=sa.Integer),
        *text("reason"),
        *whole("created_at", "updated_at"),
        *whole("started_at", "ended_at", needed=False),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
    )
    op.create_index("ix_sessions_workspace", "sessions", ["workspace"])
    op.create_table(
        "session_runs",
        *text("session"),
        *whole("number", kind=sa.Integer),
        *text("run", "bot"),
        *whole("revision", kind=sa.Integer),
        *text("entry", "tier", "status", "reason"),
        sa.Column("parent", sa.Text()),
        *whole("branched_at", needed=False),
        *whole("started_at"),
        *whole("ended_at", needed=False),
        sa.PrimaryKeyConstraint("session", "number", name="pk_session_runs"),
        sa.UniqueConstraint("run", name="uq_session_runs_run"),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name="fk_session_runs_session"),
        sa.ForeignKeyConstraint(["bot"], ["bots.id"], name="fk_session_runs_bot"),
    )
    op.create_index("ix_session_runs_bot", "session_runs", ["bot"])
    open_ones = sa.text("ended_at IS NULL")
    op.create_index(
        "uq_session_runs_open",
        "session_runs",
        ["bot"],
        unique=True,
        sqlite_where=open_ones,
        postgresql_where=open_ones,
    )


def downgrade() -> None:
    raise NotImplementedError("sessions and keys would be lost: there is no way back; restore a backup")
