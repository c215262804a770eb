"""Changes of presence, as they are written: many at once, past the library."""

from typing import cast

import sqlalchemy as sa

from app.db import InsertOfRows
from app.devices.models import StatusEvent

STATUS_EVENTS = InsertOfRows(
    cast("sa.Table", StatusEvent.__table__), ("device_id", "status", "cause", "detail", "source_ip", "at")
)
