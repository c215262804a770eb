"""The protocol's structs as pydantic models, so that OpenAPI describes them from the one place where they stand."""

from functools import cache, reduce
from operator import or_
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
from pydantic import BaseModel, create_model

from deployx_protocol.messages import Message


@cache
def model_of(struct: type[Message]) -> type[BaseModel]:
    """A model with the fields and types of ``struct``; all of them are always sent, so all are required."""
    hints = get_type_hints(struct, include_extras=True)
    fields: dict[str, Any] = {name: (_described(hints[name]), ...) for name in struct.__struct_fields__}
    return create_model(struct.__name__, __doc__=struct.__doc__, **fields)


def _described(hint: Any) -> Any:
    """``hint`` with models in place of the structs within it."""
    if isinstance(hint, type) and issubclass(hint, Message):
        return model_of(hint)
    inner = [_described(one) for one in get_args(hint)]
    match get_origin(hint):
        case origin if origin in (Union, UnionType):
            return reduce(or_, inner)
        case origin if origin is list:
            return list[inner[0]]  # type: ignore[valid-type]  # made at run time
    return hint


@cache
def page_of(struct: type[Message]) -> type[BaseModel]:
    """``{items, next_cursor}`` of ``struct``; the last page's cursor is null."""
    fields: dict[str, Any] = {"items": (list[model_of(struct)], ...), "next_cursor": (str | None, ...)}  # type: ignore[misc]
    return create_model(f"{struct.__name__}Page", **fields)


def plain(message: Message) -> Any:
    """The message as plain JSON values."""
    return msgspec.to_builtins(message)
