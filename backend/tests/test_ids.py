"""Ids: what they are, and that they grow."""

from itertools import pairwise
from uuid import UUID

from app.ids import Ids, new_id


def test_an_id_is_a_uuid_of_version_7_with_the_time_in_front() -> None:
    for text in (Ids(lambda: 0x0123456789AB).new() for _ in range(1_000)):
        parsed = UUID(text)
        assert (str(parsed), parsed.version, parsed.variant) == (text, 7, "specified in RFC 4122")
        assert parsed.int >> 80 == 0x0123456789AB


def test_each_id_is_greater_than_the_one_before_whatever_the_clock_does() -> None:
    clock = iter([5] * 5_000 + [3] * 5_000 + [9] * 5_000 + list(range(10, 5_010)))
    ids = Ids(lambda: next(clock))
    made = [ids.new() for _ in range(20_000)]
    assert all(earlier < later for earlier, later in pairwise(made))


def test_a_full_counter_goes_on_in_the_next_millisecond() -> None:
    ids = Ids(lambda: 7)
    first = ids.new()
    ids._counter = (1 << 42) - 1
    later = ids.new()
    assert later > first
    assert UUID(later).int >> 80 == 8


def test_two_processes_do_not_make_the_same_id() -> None:
    one, two = Ids(lambda: 1), Ids(lambda: 1)
    assert not {one.new() for _ in range(1_000)} & {two.new() for _ in range(1_000)}
    assert new_id() != new_id()
