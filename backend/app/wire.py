"""The protocol's structs as pydantic models, so that OpenAPI describes them from the one place where they stand."""

from functools import cache
from typing import Any, get_type_hints

import msgspec
from pydantic import BaseModel, create_model

from deployx_protocol.messages import Message


@cache
def model_of(struct: type[Message]) -> type[BaseModel]:
    """A model with the fields and types of ``struct``; all of them are always sent, so all are required."""
    hints = get_type_hints(struct, include_extras=True)
    fields: dict[str, Any] = {name: (hints[name], ...) for name in struct.__struct_fields__}
    return create_model(struct.__name__, __doc__=struct.__doc__, **fields)


@cache
def page_of(struct: type[Message]) -> type[BaseModel]:
    """``{items, next_cursor}`` of ``struct``; the last page's cursor is null."""
    fields: dict[str, Any] = {"items": (list[model_of(struct)], ...), "next_cursor": (str | None, ...)}  # type: ignore[misc]
    return create_model(f"{struct.__name__}Page", **fields)


def plain(message: Message) -> Any:
    """The message as plain JSON values."""
    return msgspec.to_builtins(message)
