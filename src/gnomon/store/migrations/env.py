"""What Alembic runs: the revisions, on the connection and in the transaction that `store.engine.upgrade` opened."""

from __future__ import annotations

from alembic import context

from gnomon.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
