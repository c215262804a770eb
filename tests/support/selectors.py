"""What selectors mean, said a second time in plain Python: the oracle that the SQL is compared with."""

from collections.abc import Callable, Collection
from typing import Any

from hypothesis import strategies as st

from app.devices.models import Device
from app.groups.parsing import parse
from app.groups.selectors import Builtin, Key, Selector, Tag, Term, Value
from deployx_protocol.states import Presence, Trust


def means(
    selector: Selector,
    device: Device,
    owner: str | None,
    live_nodes: Collection[str],
    in_group: Callable[[str], bool],
) -> bool:
    """Whether ``selector`` means ``device``, which belongs to the user with the address ``owner``."""

    def holds(term: Term) -> bool:
        if term.key is Builtin.GROUP:
            return any(in_group("".join(value.parts)) for value in term.values)
        found = _value(term.key, device, owner, live_nodes)
        return found is not None and (not term.values or any(value.matches(found) for value in term.values))

    return all(holds(term) is not term.negated for term in selector.terms)


def _value(key: Key, device: Device, owner: str | None, live_nodes: Collection[str]) -> str | None:
    if isinstance(key, Tag):
        return {**device.agent_tags, **device.tags}.get(key.name)
    lost = device.status == "online" and device.node_id not in live_nodes
    has: dict[Builtin, Any] = {
        Builtin.ID: str(device.id),
        Builtin.NAME: device.device_name,
        Builtin.HOSTNAME: device.hostname,
        Builtin.PLATFORM: device.platform,
        Builtin.STATUS: "unknown" if lost else device.status,
        Builtin.AGENT_ID: device.agent_id,
        Builtin.TRUST: device.trust,
        Builtin.OS: device.facts.get("os"),
        Builtin.ARCH: device.facts.get("arch"),
        Builtin.VERSION: device.agent_version,
        Builtin.OWNER: owner,
    }
    return has[key] or None


# ---------------------------------------------------------------- any selector

WORDS = ("web", "Web", "db", "wéb", "w%b", "w_b", "w*b", "w?b", "[w]b", "w'b", "we", "eb", "日本", "", "null", "1")
"""Values with every sign that a pattern of SQL or a path of JSON would take for its own; few, so that they meet."""
TAG_NAMES = ("role", "größe", 'a"b', "x\\y", "a b", "$.role", "role.x", "[0]", "name", "Status", "%", "'")

printable = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=12)


@st.composite
def values(draw: st.DrawFn, texts: st.SearchStrategy[str] = st.sampled_from(WORDS)) -> Value:
    """A value with up to two wildcards."""
    first, *rest = draw(st.lists(texts, min_size=1, max_size=3))
    return Value((first, *(part for part in rest[:-1] if part), *rest[-1:]))


@st.composite
def terms(
    draw: st.DrawFn,
    names: st.SearchStrategy[str] = st.sampled_from(TAG_NAMES),
    texts: st.SearchStrategy[str] = st.sampled_from(WORDS),
    groups: tuple[str, ...] = (),
) -> Term:
    """A condition that can be written."""
    key: Key = draw(st.one_of(names.map(Tag), st.sampled_from(Builtin)))
    plain: dict[Key, st.SearchStrategy[str]] = {
        Builtin.STATUS: st.sampled_from(Presence).map(str),
        Builtin.TRUST: st.sampled_from(Trust).map(str),
        Builtin.ID: st.integers(1, 8).map(str),
        Builtin.GROUP: st.sampled_from(groups or ("none",)),
    }
    if key is Builtin.GROUP and not groups:
        key = Builtin.NAME
    if key in plain:
        value = plain[key].map(lambda text: Value((text,)))
    elif key is Builtin.OWNER:
        value = values(texts.map(str.lower)).filter(lambda value: value.parts != ("",))
    else:
        value = values(texts).filter(lambda value: isinstance(key, Tag) or value.parts != ("",))
    fewest = 1 if key is Builtin.GROUP else 0
    return Term(key, tuple(draw(st.lists(value, min_size=fewest, max_size=3))), draw(st.booleans()))


def selectors(**options: Any) -> st.SearchStrategy[Selector]:
    """Any selector of a few conditions."""
    return st.lists(terms(**options), max_size=4).map(lambda found: Selector(tuple(found)))


def written(text: str) -> str:
    """``text`` as selectors are written when they are written plainly."""
    return str(parse(text))
