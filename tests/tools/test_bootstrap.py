"""The set-up: what it takes for granted, what it does again, and what it says when it cannot go on."""

import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap import console, index, node, places, process, stamps


def test_an_old_python_gets_a_sentence(tmp_path: Path) -> None:
    source = (places.ROOT / "tools" / "setup.py").read_text()
    script = tmp_path / "setup.py"
    script.write_text(source.replace("OLDEST = (3, 11)", "OLDEST = (3, 99)"))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    version = ".".join(map(str, sys.version_info[:3]))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"DeployX needs Python 3.99 or newer; {sys.executable} is {version}. "
        "Install a newer one and name it: make setup PYTHON=python3.12\n"
    )


def test_the_first_lines_of_the_set_up_are_understood_by_every_python() -> None:
    source = (places.ROOT / "tools" / "setup.py").read_text()
    compile(source, "setup.py", "exec")
    for newer in ("match ", ":=", 'f"', "f'", "->", " | "):
        assert newer not in source.replace("# type: (list[str]) -> int", ""), newer


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ("v18.20.4\n", False),
        ("v20.18.3\n", False),
        ("v20.19.0\n", True),
        ("v21.7.0\n", False),
        ("v22.11.0\n", False),
        ("v22.12.0\n", True),
        ("v23.0.0\n", True),
        ("v24.1.0\n", True),
        ("v100.0.0\n", True),
        ("", False),
        ("command not found", False),
    ],
)
def test_only_a_node_that_can_build_is_new_enough(version: str, enough: bool) -> None:
    assert node.new_enough(version) is enough


def test_what_pip_was_told_is_read_with_its_precedence() -> None:
    listing = (
        "global.index-url='https://global.example/simple'\n"
        "user.index-url='https://user.example/simple'\n"
        ":env:.timeout='60'\n"
        "site.index-url='https://site.example/simple'\n"
        "freeze.timeout='10'\n"
        "global.extra-index-url='https://one.example\\nhttps://two.example'\n"
        "nonsense\n"
        "global.cert=unquoted\n"
    )
    assert index.parse(listing) == {
        "index-url": "https://site.example/simple",
        "timeout": "60",
        "extra-index-url": "https://one.example\nhttps://two.example",
    }


def test_pips_settings_are_said_in_uvs_words() -> None:
    said = index.translate(
        {
            "index-url": "https://a.example/simple",
            "extra-index-url": "https://b.example\nhttps://c.example",
            "find-links": "/wheels /more",
            "trusted-host": "a.example",
            "cert": "/ca.pem",
            "proxy": "http://proxy.example:3128",
            "timeout": "60",
            "no-index": "true",
        }
    )
    assert said == {
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_NO_PROGRESS": "1",
        "UV_DEFAULT_INDEX": "https://a.example/simple",
        "UV_INDEX": "https://b.example https://c.example",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_INSECURE_HOST": "a.example",
        "SSL_CERT_FILE": "/ca.pem",
        "HTTP_PROXY": "http://proxy.example:3128",
        "HTTPS_PROXY": "http://proxy.example:3128",
        "UV_HTTP_TIMEOUT": "60",
        "UV_NO_INDEX": "1",
    }
    assert index.translate({})["UV_SYSTEM_CERTS"] == "1"


def test_a_stamp_matches_what_it_was_made_from_and_survives_damage(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "stamps.json"
    stamps.Stamps(file).put("step", "one")
    again = stamps.Stamps(file)
    assert again.matches("step", "one")
    assert not again.matches("step", "two")
    again.drop("step")
    assert not stamps.Stamps(file).matches("step", "one")
    for damaged in ("", "[]", "{"):
        file.write_text(damaged)
        assert not stamps.Stamps(file).matches("step", "one")


def test_a_digest_changes_with_names_and_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamps, "ROOT", tmp_path)
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("text")
    first = stamps.digest([one])
    assert stamps.digest([one]) == first
    one.write_text("other")
    assert stamps.digest([one]) != first
    two.write_text("text")
    assert stamps.digest([two]) != first
    assert stamps.digest([one, two]) == stamps.digest([two, one])


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("npm error code ENOTFOUND", "there is no network"),
        ("error: SSL: CERTIFICATE_VERIFY_FAILED", "certificate is not trusted"),
        ("something else", "the tool ended with 3"),
    ],
)
def test_a_tool_that_fails_is_explained_in_one_sentence(output: str, said: str) -> None:
    with pytest.raises(console.SetupError, match=said) as caught:
        process.run([sys.executable, "-c", f"print({output!r}); raise SystemExit(3)"], "fetch something")
    assert str(caught.value).startswith("Could not fetch something: ")
    assert "\n" not in str(caught.value)


def test_a_tool_that_is_not_there_is_a_sentence_as_well() -> None:
    with pytest.raises(console.SetupError, match=r"Could not build it: .*No such file"):
        process.run(["/no/such/tool"], "build it")
    assert process.works(["/no/such/tool"]) is None
