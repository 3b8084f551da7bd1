"""The migrations and the models say the same."""

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from paylink.db import Database
from paylink.schema import is_current, metadata, migrate, ours


def test_a_migrated_database_is_what_the_models_describe(db: Database) -> None:
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": ours})
        assert compare_metadata(context, metadata) == []


def test_migrating_twice_changes_nothing(db: Database) -> None:
    assert db.read_sync(is_current)
    migrate(db)
    assert db.read_sync(is_current)
