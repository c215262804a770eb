"""Origins have one spelling, so that comparing two of them compares two servers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployx_protocol import origins


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://a.example", "https://a.example"),
        ("HTTPS://A.Example:443/", "https://a.example"),
        ("http://a.example:80/path?x#y", "http://a.example"),
        ("http://a.example:443", "http://a.example:443"),
        ("https://a.example:80", "https://a.example:80"),
        ("wss://a.example:8443", "https://a.example:8443"),
        ("ws://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://[2001:DB8::1]", "http://[2001:db8::1]"),
        ("  https://a.example\n", "https://a.example"),
        ("https://under_score.example", "https://under_score.example"),
        ("https://bücher.example", "https://bücher.example"),
    ],
)
def test_one_spelling(url: str, origin: str) -> None:
    assert origins.normalise(url) == origin
    assert origins.normalise(origin) == origin


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.example",
        "//a.example",
        "ftp://a.example",
        "file:///etc/passwd",
        "https://",
        "https://:8000",
        "https://[::1",
        "https://::1]",
        "https://[zz]",
        "https://[fe80::1%eth0]",
        "https://a.example:99999",
        "https://a.example:port",
        "https://a.example:-1",
        "https://a.example:0",
        "https://exa\nmple.com",
        "https://exa\tmple.com",
        "https://a b.example",
        "https://a.example%00.evil",
        "https://a.example,b.example",
        "https://user:secret@a.example",
        "https://user@a.example",
        "https://@a.example",
        "https://a.example\\@b.example",
    ],
)
def test_what_is_no_server_address_is_a_sentence(url: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        origins.normalise(url)


@pytest.mark.parametrize("url", ["https://a.example", "https://A.example:443/", " https://a.example// "])
def test_an_origin_may_end_in_a_slash(url: str) -> None:
    assert origins.bare(url) == "https://a.example"


@pytest.mark.parametrize("rest", ["/x", "/deployx/", "?x", "/?x=1", "#x", "/#/devices"])
def test_an_origin_has_nothing_after_host_and_port(rest: str) -> None:
    with pytest.raises(ValueError, match=r"must end after the host and port.*\.$"):
        origins.bare(f"https://a.example{rest}")


@given(st.text(max_size=40) | st.text(max_size=40).map("https://{}".format))
def test_any_text_is_an_origin_or_a_value_error_and_an_origin_stays_itself(text: str) -> None:
    try:
        origin = origins.normalise(text)
    except ValueError:
        return
    assert origins.normalise(origin) == origin
    assert origin.startswith(("http://", "https://"))
    assert not any(character.isspace() or character in "@/?#\\" for character in origin.partition("://")[2])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "LOCALHOST"])
@pytest.mark.parametrize("port", ["", ":8000"])
def test_loopback(host: str, port: str) -> None:
    assert origins.is_loopback(origins.normalise(f"http://{host}{port}"))


@pytest.mark.parametrize(
    "host", ["a.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "[::2]", "0.0.0.0", "[::]"]
)
def test_not_loopback(host: str) -> None:
    assert not origins.is_loopback(origins.normalise(f"http://{host}"))
