"""The migrations make exactly the tables of the models, on both databases, whoever else starts at the same time."""

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from app import leading as _leading  # noqa: F401 - its table
from app import migrate
from app.accounts import models as _accounts  # noqa: F401 - its tables
from app.db import Base
from app.deployments import models as _deployments  # noqa: F401 - its tables
from app.devices import models as _devices  # noqa: F401 - its tables
from app.groups import models as _groups  # noqa: F401 - its tables
from app.releases import models as _releases  # noqa: F401 - its tables
from app.schedules import models as _schedules  # noqa: F401 - its tables
from app.software import models as _software  # noqa: F401 - its tables
from app.tasks import models as _tasks  # noqa: F401 - its tables

SEED_COLUMNS = {
    "id": "INTEGER",
    "agent_id": "TEXT",
    "device_name": "TEXT",
    "hostname": "TEXT",
    "platform": "TEXT",
    "ip_address": "TEXT",
    "machine_id": "TEXT",
    "status": "TEXT",
    "last_seen": "TIMESTAMP",
    "created_at": "TIMESTAMP",
    "user_id": "INTEGER",
}


async def test_models_and_migrations_agree(database_url: str) -> None:
    def compare(connection: sa.Connection) -> None:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []

    await migrate.in_one_transaction(database_url, compare)


async def test_devices_has_the_columns_of_the_specification(database_url: str) -> None:
    def look(connection: sa.Connection) -> None:
        found = sa.inspect(connection)
        types = {str(one["name"]): str(one["type"]) for one in found.get_columns("devices")}
        assert {name: types[name] for name in SEED_COLUMNS} == SEED_COLUMNS
        assert found.get_pk_constraint("devices")["constrained_columns"] == ["id"]
        unique = {tuple(one["column_names"]) for one in found.get_unique_constraints("devices")}
        assert {("agent_id",), ("machine_id",)} <= unique
        foreign = {
            tuple(one["constrained_columns"]): one["referred_table"] for one in found.get_foreign_keys("devices")
        }
        assert foreign[("user_id",)] == "users"
        indexed = {column for one in found.get_indexes("devices") for column in one["column_names"]}
        assert "last_seen" not in indexed

    await migrate.in_one_transaction(database_url, look)


def test_the_files_tell_the_newest_revision() -> None:
    script = ScriptDirectory.from_config(migrate.config())
    assert migrate.newest() == script.get_current_head()
    files = {Path(one.path).name.partition("_")[0]: one.revision for one in script.walk_revisions()}
    assert all(name == revision for name, revision in files.items())


async def test_several_servers_may_start_at_once(empty_database_url: str) -> None:
    await asyncio.gather(*(migrate.migrate(empty_database_url) for _ in range(6)))
    await migrate.migrate(empty_database_url)


async def test_down_and_up_again(database_url: str) -> None:
    def down(connection: sa.Connection) -> None:
        config = migrate.config()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert set(sa.inspect(connection).get_table_names()) <= {"alembic_version", "sqlite_sequence"}

    await migrate.in_one_transaction(database_url, down)
    await migrate.migrate(database_url)


async def test_a_failed_upgrade_leaves_nothing_behind(empty_database_url: str) -> None:
    def occupy(connection: sa.Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE nodes (id INTEGER)")

    def look(connection: sa.Connection) -> None:
        assert sa.inspect(connection).get_table_names() == ["nodes"]

    await migrate.in_one_transaction(empty_database_url, occupy)
    with pytest.raises(sa.exc.DBAPIError):
        await migrate.migrate(empty_database_url)
    await migrate.in_one_transaction(empty_database_url, look)


async def test_a_database_of_a_later_version_is_left_alone(database_url: str) -> None:
    def pretend(connection: sa.Connection) -> None:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    await migrate.in_one_transaction(database_url, pretend)
    with pytest.raises(migrate.NewerDatabase, match="9999"):
        await migrate.migrate(database_url)
