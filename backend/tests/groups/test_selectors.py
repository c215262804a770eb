"""The language of selectors: what it says, how it is written back, and how each slip is answered."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.errors import InvalidSelector
from app.groups.parsing import parse
from app.groups.selectors import KEYS, TERMS_MAX, TEXT_MAX, Builtin, Selector, Tag, Term, Value
from tests.support.selectors import printable, selectors, written


def test_the_parts_of_a_selector() -> None:
    text = 'platform=linux , role in (web,db),env != "", laptop,!legacy, group=berlin,os="Debian GNU/Linux*"'
    assert parse(text) == Selector(
        (
            Term(Builtin.PLATFORM, (Value(("linux",)),)),
            Term(Tag("role"), (Value(("web",)), Value(("db",)))),
            Term(Tag("env"), (Value(("",)),), negated=True),
            Term(Tag("laptop")),
            Term(Tag("legacy"), negated=True),
            Term(Builtin.GROUP, (Value(("berlin",)),)),
            Term(Builtin.OS, (Value(("Debian GNU/Linux", "")),)),
        )
    )
    assert parse(text).groups == ("berlin",)
    assert parse(" * ") == Selector()


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("*", "*"),
        (" a == b ", "a=b"),
        ("a in(b)", "a=b"),
        ("a not in ( b , c )", "a notin (b,c)"),
        ("a\tnotin\n(b)", "a!=b"),
        ("! a", "!a"),
        ('"a"="b"', "a=b"),
        ('"status"="b c"', '"status"="b c"'),
        ('"stats"', '"stats"'),
        ('a="x*"', "a=x*"),
        ('a="x\\*"', 'a="x\\*"'),
        ("a=**x***y", "a=*x*y"),
        ("a=*", "a=*"),
        ('a="\\"\\\\"', 'a="\\"\\\\"'),
        ("id=007", "id=7"),
        ("owner=Ada@Example.Test", "owner=ada@example.test"),
        ("größe=日本", "größe=日本"),
        ("in in (in)", "in=in"),
        ("not,in", "not,in"),
        ("inn=notin", "inn=notin"),
        ("a=10.0.0.0/8", "a=10.0.0.0/8"),
    ],
)
def test_written_back(text: str, canonical: str) -> None:
    assert written(text) == canonical
    assert written(canonical) == canonical


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("", 1, "* means every device"),
        ("  ", 3, "empty"),
        ("a,", 3, "ends too early"),
        (",a", 1, "key=value"),
        ("a,,b", 3, ", does not belong here"),
        ("a b", 3, "separated by commas"),
        ("a;b", 2, "; does not belong here"),
        ("a=", 3, "here comes a value"),
        ("a=b c", 5, "commas"),
        ("a>=5", 2, "> does not belong here"),
        ("a='b'", 3, "' does not belong here"),
        ("a=b=c", 4, "= does not belong here"),
        ('a="b', 3, "has to close"),
        ('a="\\n"', 5, 'goes before "'),
        ('a="b\\', 6, 'goes before "'),
        ('a="\x00"', 4, "cannot be shown"),
        ('a="\u202e"', 4, "cannot be shown"),
        ("a\x00", 2, "U+0000 does not belong here"),
        ("a in b", 6, "in brackets"),
        ("a in (b", 8, "ends with )"),
        ("a in ()", 7, "here comes a value"),
        ("a not b", 7, "after not comes in"),
        ("!a=b", 3, "write a!=…"),
        ("!!a", 2, "key=value"),
        ('""=a', 1, "not empty"),
        ("a*=b", 1, "A key has no *"),
        ("*,a", 2, "stands alone"),
        ("status=up", 8, "online, offline, unknown"),
        ("status=on*", 8, "online, offline, unknown"),
        ("trust=root", 7, "pending, trusted"),
        ("id=x", 4, "number of a device"),
        ("id=0", 4, "number of a device"),
        ("id=٣", 4, "number of a device"),
        ("id in (1,99999999999)", 10, "number of a device"),
        ('name=""', 6, "!name"),
        ("group=b*", 7, "whole name"),
        ("!group", 1, "needs a name"),
        ("a,group", 3, "needs a name"),
        (f"a={'x' * 257}", 3, "more than 256"),
        ("a=*a*a*a*a*a*", 3, "at most 5 *"),
        (",".join("a" * (TERMS_MAX + 1)), 2 * TERMS_MAX + 1, "at most 50 conditions"),
        ("a" * (TEXT_MAX + 1), TEXT_MAX + 1, "at most 4000"),
    ],
)
def test_a_slip_is_named_with_its_place(text: str, position: int, says: str) -> None:
    with pytest.raises(InvalidSelector) as refused:
        parse(text)
    assert refused.value.position == position, refused.value.message
    assert says in refused.value.message
    assert refused.value.specific_code == "invalid_selector"
    assert refused.value.message.endswith(".")


@pytest.mark.parametrize(
    ("slip", "key"),
    [
        ("plattform", "platform"),
        ("paltform", "platform"),
        ("Platform", "platform"),
        ("platfor", "platform"),
        ("statuz", "status"),
        ("ID", "id"),
        ("host-name", "hostname"),
        ("device_name", "name"),
        ("groups", "group"),
        ("agentid", "agent_id"),
    ],
)
def test_a_word_that_is_nearly_a_key_is_an_unknown_key(slip: str, key: str) -> None:
    with pytest.raises(InvalidSelector, match=f"did you mean {key}\\?") as refused:
        parse(f"a=b,!{slip}")
    assert (refused.value.specific_code, refused.value.position) == ("unknown_selector_key", 6)
    assert parse(f'!"{slip}"') == Selector((Term(Tag(slip), negated=True),))


@pytest.mark.parametrize("name", ["role", "nam", "oss", "ids", "state", "region", "archive", "power", "host", "site"])
def test_other_words_are_tags(name: str) -> None:
    assert parse(name) == Selector((Term(Tag(name)),))


def test_the_page_about_selectors_shows_selectors() -> None:
    page = (Path(__file__).parents[3] / "docs" / "selectors.md").read_text()
    examples = re.findall(r"^\| `([^`]+)` \| [^|]+ \|$", page.partition("## Keys")[0], re.MULTILINE)
    assert len(examples) > 10
    for text in examples:
        assert written(text) == text
    cells = re.findall(r"^\| ([`\w ]+) \|", page.partition("## Keys")[2].partition("Any other")[0], re.MULTILINE)
    assert {key for cell in cells for key in re.findall(r"`(\w+)`", cell)} == set(KEYS)


@given(selectors(names=printable.filter(bool), texts=printable, groups=("a", "b c", "*", "ü")))
def test_every_selector_is_written_so_that_it_reads_back(selector: Selector) -> None:
    text = str(selector)
    assert parse(text) == selector
    assert parse(f"  {text}\n") == selector


@given(st.text(st.one_of(st.sampled_from('ab*!=,()"\\ in notgroupid'), st.characters()), max_size=60))
@example("\ud800")
@example('a="\ud800"')
@example("a not" * 800)
@example("!" * TEXT_MAX)
def test_any_text_is_a_selector_or_a_sentence(text: str) -> None:
    try:
        assert written(written(text)) == written(text)
    except InvalidSelector as refused:
        assert refused.message.isprintable(), refused.message
        assert refused.position is not None
        assert 1 <= refused.position <= len(text) + 1


@given(st.lists(st.text("ab", max_size=3), min_size=1, max_size=4), st.text("ab", max_size=8))
def test_wildcards_stand_for_anything(parts: list[str], text: str) -> None:
    assert Value(tuple(parts)).matches(text) == bool(re.fullmatch(".*".join(parts), text))
