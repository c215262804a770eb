"""What somebody typed as the parameter that a command takes, without pydantic where there is nothing to check.

typer hands every value to pydantic, and loading that is the largest part of what a short command costs. A text is what
it is, and an option that was not given is its default.

Invariant: whatever is neither goes typer's way, which is loaded then.
"""

from dataclasses import dataclass
from typing import Any

from typer import core
from typer._coercion import RuntimeParam, TypeDescriptor, build_runtime_param


@dataclass(frozen=True)
class _WhenNeeded(RuntimeParam):
    descriptor: TypeDescriptor

    def _coerce_value(self, value: Any, param: Any, ctx: Any) -> Any:
        if type(value) is self.annotation:  # a text, or a default: a number that was typed is still a text here
            return value
        if self.annotation == list[str] and all(type(one) is str for one in value):
            return list(value)
        return build_runtime_param(self.descriptor).coerce(value, param=param, ctx=ctx)


def _built(descriptor: TypeDescriptor) -> RuntimeParam:
    return _WhenNeeded(descriptor.parameter_info, descriptor.annotation, descriptor)


def load_when_needed() -> None:
    """Have typer do so, in this process."""
    core.build_runtime_param = _built  # type: ignore[attr-defined]  # imported there, and looked up at each use
