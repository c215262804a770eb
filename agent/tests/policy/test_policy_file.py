"""The policy file: believed only if it is root's all the way, read anew when it changes, never taken for none."""

import os
from pathlib import Path

import pytest

from deployx_agent import cli
from deployx_agent.policy.file import PolicyFile, read
from deployx_protocol.codes import EXIT_CONFIG
from tests.support.operators import Operator, write_policy

NOBODY = 65534


def test_without_a_file_there_is_no_policy_unless_one_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployx_agent.policy.file.default_path", lambda: tmp_path / "none" / "policy.toml")
    assert PolicyFile(None).current() is None
    found = PolicyFile(tmp_path / "policy.toml").current()
    assert found and found.policy is None and "cannot be read" in found.error


def test_what_is_there_and_cannot_be_read_is_not_taken_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "policy.toml"
    monkeypatch.setattr("deployx_agent.policy.file.default_path", lambda: path)
    path.symlink_to(tmp_path / "gone")
    found = PolicyFile(None).current()
    assert found and found.policy is None and found.error
    path.unlink()
    path.mkdir()
    found = PolicyFile(None).current()
    assert found and found.policy is None and "it is no file" in found.error


@pytest.mark.parametrize("content", [b"shell = nothing", b"\xff", b"x" * 13_000, b"shell = false\nshel = false"])
def test_what_is_no_policy_is_unusable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "policy.toml"
    path.write_bytes(content)
    found = PolicyFile(path).current()
    assert found and found.policy is None and found.error.startswith(f"The policy {path} cannot be used")


def test_it_is_read_anew_when_it_has_changed(tmp_path: Path) -> None:
    path = write_policy(tmp_path / "policy.toml", "shell = false")
    file = PolicyFile(path)
    first = file.current()
    assert first and first.policy and not first.policy.may_shell
    assert file.current() is first
    write_policy(path, "shell = true ")
    second = file.current()
    assert second and second.policy and second.policy.may_shell
    path.unlink()
    gone = file.current()
    assert gone and gone.policy is None
    write_policy(path, "shell = false")
    back = file.current()
    assert back and back.policy and not back.policy.may_shell


def test_a_file_beside_it_or_one_that_it_names_stops_all_work(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    file = PolicyFile(write_policy(tmp_path / "policy.toml", f'stop_file = "{elsewhere}"'))
    assert file.stopped_by(file.current()) == ""
    elsewhere.symlink_to("nowhere")
    assert file.stopped_by(file.current()) == str(elsewhere)
    elsewhere.unlink()
    (tmp_path / "stop").touch()
    assert file.stopped_by(file.current()) == str(tmp_path / "stop")
    assert PolicyFile(tmp_path / "policy.toml").stopped_by(None) == str(tmp_path / "stop")


class TestWhoCouldHaveWrittenIt:
    """Each way for somebody else than root to decide what is read."""

    def policy(self, tmp_path: Path) -> Path:
        folder = tmp_path / "etc"
        folder.mkdir()
        return write_policy(folder / "policy.toml", "shell = false")

    def test_roots_own_is_believed_through_links_as_well(self, tmp_path: Path) -> None:
        path = self.policy(tmp_path)
        link = tmp_path / "link"
        link.symlink_to("etc")
        further = tmp_path / "further.toml"
        further.symlink_to(link / ".." / "etc" / "policy.toml")
        for way in (path, link / "policy.toml", further):
            assert read(way).policy, way

    def test_a_link_that_leads_back_to_itself(self, tmp_path: Path) -> None:
        path = tmp_path / "policy.toml"
        path.symlink_to(path)
        assert "links" in read(path).error
        found = PolicyFile(path).current()
        assert found and found.policy is None

    @pytest.mark.parametrize("mode", [0o664, 0o646])
    def test_others_may_write_to_it(self, tmp_path: Path, mode: int) -> None:
        path = self.policy(tmp_path)
        path.chmod(mode)
        assert read(path).policy is None
        assert f"others than root may write to {path}" in read(path).error

    def test_others_may_put_another_one_in_its_place(self, tmp_path: Path) -> None:
        path = self.policy(tmp_path)
        path.parent.chmod(0o777)
        assert read(path).policy is None
        path.parent.chmod(0o1777)  # as /tmp is: what is root's there stays root's
        assert read(path).policy

    def test_it_belongs_to_someone_else(self, tmp_path: Path) -> None:
        path = self.policy(tmp_path)
        os.chown(path, NOBODY, NOBODY)
        assert "has to be root's" in read(path).error
        os.chown(path, 0, 0)
        os.chown(path.parent, NOBODY, NOBODY)
        assert "has to be root's" in read(path).error

    def test_a_link_on_the_way_belongs_to_someone_else(self, tmp_path: Path) -> None:
        self.policy(tmp_path)
        link = tmp_path / "link"
        link.symlink_to("etc")
        os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
        assert "has to be root's" in read(link / "policy.toml").error


def test_check_says_it_in_plain_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ada = Operator("ada")
    path = write_policy(tmp_path / "policy.toml", 'runs = "signed"', "shell = false", ada.table())
    assert cli.main(["policy", "check", "--file", str(path)]) == 0
    said = capsys.readouterr().out
    assert f"Pass on runs that are signed by ada (key {ada.key_id})." in said
    assert said.index("It may not:") < said.index("Run lines of the shell.")


def test_check_ends_with_78_for_one_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_policy(tmp_path / "policy.toml", 'runs = "signd"')
    assert cli.main(["policy", "check", "--file", str(path)]) == EXIT_CONFIG
    assert "runs nothing until it is mended" in capsys.readouterr().err


def test_check_of_the_machines_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("deployx_agent.policy.file.default_path", lambda: tmp_path / "policy.toml")
    assert cli.main(["policy", "check"]) == 0
    assert "it does whatever its server says" in capsys.readouterr().out
