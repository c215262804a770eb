"""How Alembic reaches the database: over the connection of ``app.migrate``, or over one of its own for developers.

Invariant: a whole upgrade is one transaction.
"""

import asyncio
from typing import Literal

from alembic import context
from sqlalchemy import Connection

from app import leading as _leading  # noqa: F401 - its table
from app import migrate, settings
from app.accounts import models as _accounts  # noqa: F401 - its tables
from app.artifacts import models as _artifacts  # noqa: F401 - its tables
from app.audit import models as _audit  # noqa: F401 - its tables
from app.db import Base, UtcTimestamp
from app.deployments import models as _deployments  # noqa: F401 - its tables
from app.devices import models as _devices  # noqa: F401 - its tables
from app.groups import models as _groups  # noqa: F401 - its tables
from app.releases import models as _releases  # noqa: F401 - its tables
from app.schedules import models as _schedules  # noqa: F401 - its tables
from app.software import models as _software  # noqa: F401 - its tables
from app.tasks import models as _tasks  # noqa: F401 - its tables


def render(kind: str, item: object, _context: object) -> str | Literal[False]:
    """How a new revision writes a column type of ours."""
    return "sa.TIMESTAMP(timezone=True)" if kind == "type" and isinstance(item, UtcTimestamp) else False


def run(connection: Connection) -> None:
    """Run what was asked for on ``connection``."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=render,
    )
    with context.begin_transaction():
        context.run_migrations()


if (given := context.config.attributes.get("connection")) is not None:
    run(given)
else:
    asyncio.run(migrate.in_one_transaction(settings.load().database_url, run))
