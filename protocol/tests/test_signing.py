"""The bytes under a signature: no two different registrations share theirs, and they never change."""

import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployx_protocol.messages import AgentRegister
from deployx_protocol.signing import key_hash, register_bytes

KEY = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"  # the first test vector of RFC 8032
FIXED = AgentRegister(
    agent_id="till-7",
    hostname="till",
    platform="linux",
    ip_address="192.0.2.7",
    machine_id="4c4c4544-0042-3510-8051-b4c04f564433",
    protocol=1,
    agent_version="0.1.0",
    public_key=KEY,
    origin="https://a.example",
    generation=3,
    boot_id="0" * 31 + "1",
    journal_id="f" * 32,
    journal_high_water=9,
    fingerprint={"disks": "aa", "board": "bb"},
    facts={"os": "Debian GNU/Linux 12", "arch": "x86_64"},
    enrollment_token="",
    signature="0" * 128,
)

NAMES = st.text("abc", min_size=1, max_size=3)
MAPS = st.dictionaries(NAMES, NAMES, max_size=3)
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("agent_id", "hostname", "platform", "machine_id", "agent_version"), NAMES),
    "ip_address": st.ip_addresses(v=4).map(str),
    "origin": st.sampled_from(["https://a", "https://ab"]),
    "enrollment_token": st.sampled_from(["", "a", "ab"]),
    "public_key": st.sampled_from([KEY, KEY[::-1]]),
    "boot_id": st.sampled_from(["0" * 32, "1" * 32]),
    "journal_id": st.sampled_from(["", "2" * 32]),
    **{name: st.integers(1, 30) for name in ("protocol", "generation", "journal_high_water")},
    "fingerprint": MAPS,
    "facts": MAPS,
    "tags": MAPS,
}
MESSAGES = st.fixed_dictionaries({}, optional=CHANGES).map(lambda changes: msgspec.structs.replace(FIXED, **changes))


@given(MESSAGES, st.text("ab", max_size=2), MESSAGES, st.text("ab", max_size=2))
def test_different_registrations_have_different_bytes(
    one: AgentRegister, one_sid: str, two: AgentRegister, two_sid: str
) -> None:
    same = (one, one_sid) == (two, two_sid)
    assert (register_bytes(one, one_sid) == register_bytes(two, two_sid)) == same


@pytest.mark.parametrize("field", [name for name in AgentRegister.__struct_fields__ if name != "signature"])
def test_every_field_is_covered(field: str) -> None:
    before = getattr(FIXED, field)
    other: Any = {"x": "y"} if isinstance(before, dict) else before + 1 if isinstance(before, int) else f"{before}x"
    changed = msgspec.structs.replace(FIXED)
    msgspec.structs.force_setattr(changed, field, other)
    assert register_bytes(changed, "sid") != register_bytes(FIXED, "sid")


def test_the_connection_is_covered_and_the_signature_is_not() -> None:
    assert register_bytes(FIXED, "sid-1") != register_bytes(FIXED, "sid-2")
    assert register_bytes(msgspec.structs.replace(FIXED, signature="1" * 128), "sid") == register_bytes(FIXED, "sid")


def test_text_cannot_move_from_one_field_into_the_next() -> None:
    def moved(**fields: Any) -> bytes:
        return register_bytes(msgspec.structs.replace(FIXED, **fields), "sid")

    assert moved(agent_id="ab", hostname="c") != moved(agent_id="a", hostname="bc")
    assert moved(fingerprint={"a": "b"}, facts={}) != moved(fingerprint={}, facts={"a": "b"})
    assert moved(facts={"a": "b", "c": "d"}) != moved(facts={"a": "bcd"})
    assert moved(tags={"a": "b"}) != moved(facts={**FIXED.facts, "a": "b"})


def test_the_order_of_facts_does_not_matter() -> None:
    turned = dict(reversed(FIXED.facts.items()))
    assert list(turned) != list(FIXED.facts)
    assert register_bytes(msgspec.structs.replace(FIXED, facts=turned), "sid") == register_bytes(FIXED, "sid")


def test_the_bytes_are_length_prefixed_and_never_change() -> None:
    raw = register_bytes(FIXED, "sid")
    assert raw.startswith(b"\x00\x00\x00\x13deployx-register-v1\x00\x00\x00\x11https://a.example\x00\x00\x00\x03sid")
    assert hashlib.sha256(raw).hexdigest() == "b4f777b5183733e19fb99248fc20c5bc86472d9dfe9eb3cbda67e760c670785d"


def test_key_hash() -> None:
    assert key_hash(KEY) == hashlib.sha256(bytes.fromhex(KEY)).hexdigest()
    assert key_hash(KEY)[:8] == "21fe31df"
