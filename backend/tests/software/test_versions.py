"""Versions are compared as the systems compare them: dpkg itself is asked, and rpm's own vectors are gone through."""

import shutil
import subprocess
from collections.abc import Callable
from functools import cmp_to_key, partial
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidInput
from app.software.query import parse
from app.software.versions import compare, compare_as_written
from deployx_protocol.software import Source

SIGNS = {-1: "lt", 0: "eq", 1: "gt"}
DPKG = [
    ("1.0-1", "1.0-2"),
    ("1.0~rc1-1", "1.0-1"),
    ("1:0.9", "1.0"),
    ("3.0.11-1~deb12u2", "3.0.13"),
    ("1.2.3", "1.2.3-0"),
    ("1.0", "1.0-0ubuntu1"),
    ("1.0+b1", "1.0"),
    ("1.0a", "1.0+"),
    ("1.10", "1.9"),
    ("1.0~~", "1.0~"),
    ("2.0-1-1", "2.0-1-2"),
    ("0:1.0", "1.0"),
    ("1.00", "1.0"),
    ("1.0.", "1.0"),
    ("9" * 30, "9" * 31),
    ("1.0-1ubuntu3.2", "1.0-1ubuntu3.10"),
]


def dpkg_says(one: str, sign: str, other: str) -> bool:
    done = subprocess.run(["dpkg", "--compare-versions", one, sign, other], capture_output=True, check=False)
    assert not done.stderr, done.stderr
    return done.returncode == 0


@pytest.mark.parametrize(("one", "other"), DPKG)
def test_dpkg_agrees(one: str, other: str) -> None:
    assert shutil.which("dpkg"), "these tests need Debian or Ubuntu"
    assert dpkg_says(one, SIGNS[compare(Source.DPKG, one, other)], other)
    assert dpkg_says(other, SIGNS[compare(Source.DPKG, other, one)], one)


def test_dpkg_sorts_the_same() -> None:
    by_dpkg: Callable[[str, str], int] = partial(compare, Source.DPKG)
    every = sorted({version for pair in DPKG for version in pair}, key=cmp_to_key(by_dpkg))
    for one, other in pairwise(every):
        assert dpkg_says(one, "le", other), (one, other)


RPM = """
1.0 = 1.0           1.0 < 2.0           2.0.1 = 2.0.1       2.0 < 2.0.1         2.0.1a = 2.0.1a     2.0.1 < 2.0.1a
5.5p1 = 5.5p1       5.5p1 < 5.5p2       5.5p10 = 5.5p10     5.5p1 < 5.5p10      10xyz < 10.1xyz     xyz10 = xyz10
xyz10 < xyz10.1     xyz.4 = xyz.4       xyz.4 < 8           xyz.4 < 2           5.5p2 < 5.6p1       5.6p1 < 6.5p1
6.0 < 6.0.rc1       10a2 < 10b2         1.0aa = 1.0aa       1.0a < 1.0aa        10.0001 = 10.0001   10.0001 = 10.1
10.0001 < 10.0039   4.999.9 < 5.0       20101121 = 20101121 20101121 < 20101122 2_0 = 2_0           2.0 = 2_0
a = a               a+ = a+             a+ = a_             +a = +a             +a = _a             + = _
1.0~rc1 = 1.0~rc1   1.0~rc1 < 1.0       1.0~rc1 < 1.0~rc2   1.0~rc1~git123 = 1.0~rc1~git123
1.0~rc1~git123 < 1.0~rc1                1.0^ = 1.0^         1.0 < 1.0^          1.0^git1 = 1.0^git1 1.0 < 1.0^git1
1.0^git1 < 1.0^git2 1.0^git1 < 1.01     1.0^20160101 = 1.0^20160101             1.0^20160101 < 1.0.1
1.0^20160101^git1 = 1.0^20160101^git1   1.0^20160101 < 1.0^20160101^git1        1.0^20160102 < 1.0^20160102^git1
1.0~rc1^git1 = 1.0~rc1^git1             1.0~rc1 < 1.0~rc1^git1                  1.0^git1~pre = 1.0^git1~pre
1.0^git1~pre < 1.0^git1                 1b.fc17 = 1b.fc17   1b.fc17 < 1.fc17    1g.fc17 = 1g.fc17   1.fc17 < 1g.fc17
1:1.0 < 2:0.1       0:1.0-2 = 1.0-2     1.0-9 < 1.0-10      1.0-1.el9 < 1:0.5
"""
"""Of rpm's tests/rpmvercmp.at, and epochs and releases besides."""
APK = [
    ("1.2.3", "<", "1.2.10"),
    ("1.2_rc1", "<", "1.2"),
    ("1.2_alpha", "<", "1.2_beta1"),
    ("1.2", "<", "1.2_p1"),
    ("1.2_p1", "<", "1.2a"),
    ("1.2-r1", "<", "1.2-r10"),
    ("1.2-r9", "<", "1.2.0"),
    ("1.10", ">", "1.9"),
    ("1.2_git20200101-r0", ">", "1.2-r5"),
    ("3.1.4-r5", "=", "3.1.4-r5"),
]
WANTED = {"<": -1, "=": 0, ">": 1}


def rpm_vectors() -> list[tuple[str, str, str]]:
    words = RPM.split()
    return [(words[n], words[n + 1], words[n + 2]) for n in range(0, len(words), 3)]


@pytest.mark.parametrize(("one", "sign", "other"), rpm_vectors())
def test_rpm(one: str, sign: str, other: str) -> None:
    assert compare(Source.RPM, one, other) == WANTED[sign]
    assert compare(Source.RPM, other, one) == -WANTED[sign]


@pytest.mark.parametrize(("one", "sign", "other"), APK)
def test_apk(one: str, sign: str, other: str) -> None:
    assert compare(Source.APK, one, other) == WANTED[sign]
    assert compare(Source.APK, other, one) == -WANTED[sign]


def test_others_by_their_numbers() -> None:
    assert compare(Source.WINDOWS, "119.0.6045.106", "119.0.6045.99") == 1
    assert compare(Source.HOMEBREW, "1.2.3_1", "1.2.3") == 1
    assert compare(Source.PKGUTIL, "1-2", "1-2") == 0


TEXTS = st.text("0129a~^.+-_:r", min_size=1, max_size=8)


@given(source=st.sampled_from(list(Source)), one=TEXTS, other=TEXTS)
def test_it_is_an_order_whatever_machines_say(source: Source, one: str, other: str) -> None:
    assert compare(source, one, one) == 0
    assert compare(source, one, other) == -compare(source, other, one)


@pytest.mark.parametrize(
    ("source", "installed", "query", "matches"),
    [
        (Source.DPKG, "3.0.11-1~deb12u2", "openssl<3.0.13", True),
        (Source.DPKG, "3.0.13-1", "openssl<3.0.13", False),
        (Source.DPKG, "3.0.13-1", "openssl=3.0.13", True),
        (Source.DPKG, "3.0.13-1", "openssl<3.0.13-1ubuntu1", True),
        (Source.DPKG, "3.0.13-1", "openssl<=3.0.13", True),
        (Source.DPKG, "2:3.0.11-1", "openssl<3.0.13", True),
        (Source.DPKG, "2:3.0.11-1", "openssl<1:3.0.13", False),
        (Source.RPM, "1:3.0.7-27.el9", "openssl<3.0.13", True),
        (Source.RPM, "1:3.0.7-27.el9", "openssl<0:3.0.13", False),
        (Source.RPM, "1:3.0.7-27.el9", "openssl<3.0.7-28", True),
        (Source.APK, "3.1.4-r5", "openssl=3.1.4", True),
        (Source.APK, "3.1.4-r5", "openssl<3.1.4-r6", True),
        (Source.DPKG, "1.22.1-9", "nginx>=1.22,<1.24", True),
        (Source.DPKG, "1.24.0-1", "nginx>=1.22,<1.24", False),
        (Source.DPKG, "1.24.0-1", "nginx!=1.24.0", False),
    ],
)
def test_what_a_query_leaves_out_is_not_compared(source: Source, installed: str, query: str, matches: bool) -> None:
    assert parse(query).matches(source, installed) is matches


def test_a_query_reads_as_it_is_written() -> None:
    assert parse(' "Google Chrome" < 120.0 ').parts == ("Google Chrome",)
    assert parse("linux-image-*").parts == ("linux-image-", "")
    assert parse("a>= 1 , < 2").comparisons == ((">=", "1"), ("<", "2"))
    assert compare_as_written(Source.DPKG, "1.0", "1.0-1") == -1


UNREADABLE = ["", "  ", "*", "<1", "a<", "a<1,", "a<1<2", "a<1 b", "a b", '"', '""', "a=*,", "a!1", "a<1" * 6]


@pytest.mark.parametrize("text", [*UNREADABLE, "x" * 501, "a\n<1\x00"])
def test_a_query_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(text)
    assert refused.value.specific_code == "invalid_query"
    assert refused.value.message.endswith(".")


@given(st.text(max_size=30))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except InvalidInput:
        return
    assert any(found.parts)
    for source in Source:
        found.matches(source, "1.0-1")
