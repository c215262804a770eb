"""Every struct of the wire: what one end sends, the other end has."""

import enum
import inspect
import json
import types
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployx_protocol import checks, limits, messages
from deployx_protocol.codes import REFUSALS, Code
from deployx_protocol.messages import AgentLeaving, AgentRegister, Message, RegistrationFailed, SessionEnded

ALL = sorted(
    (kind for _, kind in inspect.getmembers(messages, inspect.isclass) if issubclass(kind, Message)),
    key=lambda kind: kind.__name__,
)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=10)
PRINTABLE = st.text("aé-_.Ω7", min_size=1, max_size=10)


def hex_digits(length: int) -> st.SearchStrategy[str]:
    return st.text("0123456789abcdef", min_size=length, max_size=length)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return st.integers(0, limits.INT64_MAX)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([values(argument) for argument in arguments])
    if origin is list:
        return st.lists(values(arguments[0]), max_size=2)
    if origin is dict:
        return st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=2)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return st.sampled_from(list(kind))
    if isinstance(kind, type) and issubclass(kind, Message):
        return structs(kind)
    return {
        str: TEXT,
        bool: st.booleans(),
        int: st.integers(limits.INT64_MIN, limits.INT64_MAX),
        float: st.floats(allow_nan=False, allow_infinity=False),
        types.NoneType: st.none(),
    }[kind]


def structs(kind: type[Message]) -> st.SearchStrategy[Message]:
    if kind is AgentRegister:
        facts = st.dictionaries(PRINTABLE, PRINTABLE, max_size=3)
        five = dict.fromkeys(("agent_id", "hostname", "platform", "machine_id"), PRINTABLE)
        more = dict.fromkeys(("agent_version", "enrollment_token"), PRINTABLE)
        maps = dict.fromkeys(("fingerprint", "facts", "tags"), facts)
        return st.builds(AgentRegister, **five, ip_address=st.ip_addresses().map(str)) | st.builds(
            AgentRegister,
            **five,
            **more,
            **maps,
            ip_address=st.ip_addresses().map(str),
            protocol=st.integers(1, limits.INT64_MAX),
            generation=st.integers(0, limits.INT64_MAX),
            origin=st.just("https://a.example"),
            public_key=hex_digits(64),
            boot_id=hex_digits(32),
            journal_id=hex_digits(32) | st.just(""),
            signature=hex_digits(128),
        )
    if kind is AgentLeaving:
        return st.builds(AgentLeaving, reason=PRINTABLE | st.just(""))
    hints = typing.get_type_hints(kind, include_extras=True)
    return st.builds(kind, **{name: values(hints[name]) for name in kind.__struct_fields__})


def test_all_are_found() -> None:
    assert {kind.__name__ for kind in ALL} >= {"AgentRegister", "RegistrationSuccess", "DeviceView", "SnapshotEnd"}


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_round_trip(kind: type[Message], data: st.DataObject) -> None:
    message = data.draw(structs(kind))
    assert checks.decode(json.loads(json.dumps(message.to_json())), kind) == message


FIVE = {
    "agent_id": "till-7",
    "hostname": "DESKTOP-ABC123",
    "platform": "Windows-10",
    "ip_address": "192.0.2.7",
    "machine_id": "m",
}
KEYED = {
    **FIVE,
    "protocol": 1,
    "public_key": "a" * 64,
    "signature": "b" * 128,
    "boot_id": "c" * 32,
    "origin": "https://a.example",
}


def test_the_five_fields_of_the_specification_are_enough() -> None:
    message = checks.decode(FIVE, AgentRegister)
    assert (message.protocol, message.keyed) == (0, False)
    assert checks.decode(KEYED, AgentRegister).keyed


@pytest.mark.parametrize("field", FIVE)
def test_each_of_the_five_is_required_and_readable(field: str) -> None:
    for wrong in ({name: value for name, value in FIVE.items() if name != field}, {**FIVE, field: ""}):
        with pytest.raises(checks.InvalidPayload, match=field):
            checks.decode(wrong, AgentRegister)
    with pytest.raises(checks.InvalidPayload, match=field):
        checks.decode({**FIVE, field: "x" * 300}, AgentRegister)
    with pytest.raises(checks.InvalidPayload, match=field):
        checks.decode({**FIVE, field: "a\u202eb"}, AgentRegister)


@pytest.mark.parametrize("field", ["signature", "boot_id", "origin", "protocol"])
def test_a_key_comes_with_all_that_proves_it(field: str) -> None:
    with pytest.raises(checks.InvalidPayload, match="needs"):
        checks.decode({name: value for name, value in KEYED.items() if name != field}, AgentRegister)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("public_key", "A" * 64),
        ("public_key", "a" * 63),
        ("signature", "g" * 128),
        ("boot_id", "c" * 33),
        ("journal_id", "٣" * 32),
        ("generation", -1),
        ("generation", 2**63),
        ("fingerprint", {str(n): "x" for n in range(limits.FINGERPRINT_FACTS_MAX + 1)}),
        ("facts", {str(n): "x" for n in range(limits.FACTS_MAX + 1)}),
        ("facts", {"os": "x" * (limits.FACT_VALUE_MAX + 1)}),
        ("facts", {"os": "a\nb"}),
        ("facts", {"": "x"}),
        ("facts", {"os": 12}),
        ("tags", {str(n): "x" for n in range(limits.TAGS_MAX + 1)}),
        ("tags", {"role": "x" * (limits.TAG_VALUE_MAX + 1)}),
        ("tags", {"": "web"}),
        ("enrollment_token", "x" * (limits.TOKEN_MAX + 1)),
    ],
)
def test_every_other_field_is_bounded(field: str, value: Any) -> None:
    with pytest.raises(checks.InvalidPayload, match=field):
        checks.decode({**KEYED, field: value}, AgentRegister)


@pytest.mark.parametrize("code", Code)
def test_a_refusal_says_what_its_code_implies(code: Code) -> None:
    failed = RegistrationFailed.because("till-7", code, "Why.", 3.0)
    assert failed.to_json() == {
        "code": str(code),
        "message": "Why.",
        "retryable": REFUSALS[code].retryable,
        "retry_after_s": 3.0,
        "agent_id": "till-7",
    }
    assert SessionEnded.because(code, "Why.").retryable is REFUSALS[code].retryable


def test_messages_are_values() -> None:
    message = checks.decode(FIVE, AgentRegister)
    with pytest.raises(AttributeError):
        message.agent_id = "other"  # type: ignore[misc]
    assert message == checks.decode(dict(FIVE), AgentRegister)
