"""Machine id and key on disk: what a broken file, a full disk or a copied folder leads to."""

import contextlib
import io
import json
import logging
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployx_agent import enrollment
from deployx_agent.exits import ConfigError
from deployx_agent.facts import hardware_id
from deployx_agent.identity import KEY_FILE, MACHINE_ID_FILE, Identity, has_key
from deployx_agent.logs import LineFormatter, Log
from deployx_agent.state import durable
from deployx_protocol.tokens import new_enrollment_token

UUID = "4c4c4544-0042-3510-8051-b4c04f564433"


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def log(output: io.StringIO) -> Log:
    logger = logging.Logger("test")
    handler = logging.StreamHandler(output)
    handler.setFormatter(LineFormatter())
    logger.addHandler(handler)
    return Log(logger)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root/sys/class/dmi/id").mkdir(parents=True)
    (tmp_path / "root/sys/class/dmi/id/product_uuid").write_text(UUID.upper() + "\n")
    (tmp_path / "root/etc").mkdir()
    (tmp_path / "root/etc/machine-id").write_text("3d1219c7c4c5404aaa1f6d2a48adfda4\n")
    return tmp_path / "root"


def test_hardware_uuid_first_then_machine_id_then_random(root: Path, state_dir: Path, log: Log) -> None:
    assert hardware_id.read(root, "linux") == (UUID, "dmi")
    (root / "sys/class/dmi/id/product_uuid").write_text("Not Settable\n")
    assert hardware_id.read(root, "linux") == ("3d1219c7-c4c5-404a-aa1f-6d2a48adfda4", "machine-id")
    (root / "etc/machine-id").write_text("uninitialized\n")
    assert hardware_id.read(root, "linux") is None
    identity = Identity(state_dir, root, None, log)
    assert identity.machine.source == "random"
    assert Identity(state_dir, root, None, log).machine == identity.machine


@pytest.mark.parametrize(
    "known_bad",
    [
        "00000000-0000-0000-0000-000000000000",
        "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
        "03000200-0400-0500-0006-000700080009",
        "FEFEFEFE-FEFE-FEFE-FEFE-FEFEFEFEFEFE",
        "12345678-1234-5678-90AB-CDDEEFAABBCC",
        "11111111-2222-3333-4444-444444444444",
        "Not Settable",
        "To be filled by O.E.M.",
        "",
    ],
)
def test_known_bad_ids_are_refused(known_bad: str) -> None:
    assert hardware_id.usable(known_bad) is None


def test_macos_listing() -> None:
    listing = f'  | {{\n    "IOPlatformUUID" = "{UUID.upper()}"\n    "IOBusyInterest" = "x"\n'
    assert hardware_id.platform_uuid(listing) == (UUID, "IOPlatformUUID")
    assert hardware_id.platform_uuid("") is None


def test_macos_asks_ioreg_and_windows_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def ioreg(command: list[str], **_options: object) -> subprocess.CompletedProcess[bytes]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, f'    "IOPlatformUUID" = "{UUID.upper()}"\n'.encode())

    monkeypatch.setattr(subprocess, "run", ioreg)
    assert hardware_id.read(Path("/"), "darwin") == (UUID, "IOPlatformUUID")
    assert asked == [["/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice"]]

    class Registry:
        HKEY_LOCAL_MACHINE, KEY_READ, KEY_WOW64_64KEY = "machine", 1, 2

        @staticmethod
        def OpenKey(*where: object) -> contextlib.AbstractContextManager[object]:
            return contextlib.nullcontext(where)

        @staticmethod
        def QueryValueEx(key: object, name: str) -> tuple[str, int]:
            assert key == ("machine", r"SOFTWARE\Microsoft\Cryptography", 0, 3)
            assert name == "MachineGuid"
            return UUID, 1

    monkeypatch.setitem(sys.modules, "winreg", Registry)
    monkeypatch.setattr(sys, "platform", "win32")
    assert hardware_id.read(Path("/"), "win32") == (UUID, "MachineGuid")
    monkeypatch.undo()


def test_a_program_that_is_missing_or_fails_is_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (
        FileNotFoundError(),
        subprocess.CalledProcessError(1, "ioreg"),
        subprocess.TimeoutExpired("ioreg", 10),
    ):

        def fails(*_arguments: object, error: Exception = error, **_options: object) -> None:
            raise error

        monkeypatch.setattr(subprocess, "run", fails)
        assert hardware_id.read(Path("/"), "darwin") is None


def test_files_are_private_and_complete(root: Path, state_dir: Path, log: Log) -> None:
    identity = Identity(state_dir, root, None, log)
    assert json.loads((state_dir / MACHINE_ID_FILE).read_text()) == {
        "machine_id": UUID,
        "source": "dmi",
        "generation": 0,
    }
    for name in (MACHINE_ID_FILE, KEY_FILE):
        assert stat.S_IMODE((state_dir / name).stat().st_mode) == 0o600
    assert json.loads((state_dir / KEY_FILE).read_text())["public_key"] == identity.public_key
    assert has_key(state_dir)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


def _zero(path: Path) -> None:
    path.write_bytes(b"\x00" * len(path.read_bytes()))


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _binary(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00" * 40)


def _other_json(path: Path) -> None:
    path.write_text("[1, 2]")


def _other_shape(path: Path) -> None:
    path.write_text('{"machine_id": 5, "seed": "00", "public_key": 7}')


def _deep(path: Path) -> None:
    path.write_text("[" * 30_000)


def _open_to_all(path: Path) -> None:
    path.chmod(0o666)


def _open_to_group(path: Path) -> None:
    path.chmod(0o660)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


DAMAGES = [
    _truncate,
    _zero,
    _empty,
    _binary,
    _other_json,
    _other_shape,
    _deep,
    _open_to_all,
    _open_to_group,
    _folder,
    _dangling_link,
]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", [MACHINE_ID_FILE, KEY_FILE])
def test_fault_13_damaged_file_is_set_aside_with_a_message(
    root: Path, state_dir: Path, log: Log, output: io.StringIO, name: str, damage: Callable[[Path], None]
) -> None:
    before = Identity(state_dir, root, None, log)
    before.store_generation(5)
    damage(state_dir / name)
    after = Identity(state_dir, root, None, log)
    assert output.getvalue().count("cannot be used") == 1
    assert len(list(state_dir.glob(f"{name}.bad-*"))) == 1
    assert after.machine.machine_id == UUID
    assert after.machine.generation == 0
    assert (after.public_key == before.public_key) == (name == MACHINE_ID_FILE)
    again = Identity(state_dir, root, None, log)
    assert (again.public_key, again.machine) == (after.public_key, after.machine)
    assert output.getvalue().count("cannot be used") == 1


def test_fault_13_unreadable_file_is_reported(state_dir: Path) -> None:
    """Root reads everything: there, another user tries, in a child process."""
    path = state_dir / MACHINE_ID_FILE
    path.write_text("{}")
    path.chmod(0o000)
    if os.geteuid() != 0:
        with pytest.raises(durable.Unusable, match="cannot be read"):
            durable.read(path, dict)
        return
    for folder in (state_dir, *state_dir.parents[:3]):
        if folder != Path("/tmp"):
            folder.chmod(0o755)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setuid(65534)
            durable.read(path, dict)
        except durable.Unusable as why:
            code = 0 if "cannot be read" in str(why) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_swapped_public_key_is_noticed(root: Path, state_dir: Path, log: Log, output: io.StringIO) -> None:
    Identity(state_dir, root, None, log)
    content = json.loads((state_dir / KEY_FILE).read_text())
    content["seed"] = "ab" + content["seed"][2:] if not content["seed"].startswith("ab") else "cd" + content["seed"][2:]
    durable.write(state_dir / KEY_FILE, content)
    Identity(state_dir, root, None, log)
    assert "cannot be used" in output.getvalue()


def test_readable_key_is_made_private_and_kept(root: Path, state_dir: Path, log: Log) -> None:
    before = Identity(state_dir, root, None, log)
    (state_dir / KEY_FILE).chmod(0o644)
    after = Identity(state_dir, root, None, log)
    assert after.public_key == before.public_key
    assert stat.S_IMODE((state_dir / KEY_FILE).stat().st_mode) == 0o600


def test_several_set_aside_in_one_second_keep_apart(state_dir: Path) -> None:
    asides = set()
    for _ in range(5):
        (state_dir / "x").write_text("")
        asides.add(durable.set_aside(state_dir / "x"))
    assert len(asides) == 5


def test_override_is_stored_but_never_undoes_a_split(
    root: Path, state_dir: Path, log: Log, output: io.StringIO
) -> None:
    identity = Identity(state_dir, root, "till-7", log)
    assert (identity.machine.machine_id, identity.machine.source) == ("till-7", "override")
    identity.store_generation(3)
    assert Identity(state_dir, root, "till-8", log).machine.generation == 3
    identity.split()
    again = Identity(state_dir, root, "till-7", log)
    assert (again.machine, again.public_key) == (identity.machine, identity.public_key)
    assert "DEPLOYX_MACHINE_ID is ignored" in output.getvalue()


def test_new_key_starts_at_generation_0(root: Path, state_dir: Path, log: Log) -> None:
    Identity(state_dir, root, None, log).store_generation(9)
    (state_dir / KEY_FILE).unlink()
    assert Identity(state_dir, root, None, log).machine.generation == 0


def test_boot_ids_and_default_agent_ids(root: Path, state_dir: Path, log: Log) -> None:
    one, two = Identity(state_dir, root, None, log), Identity(state_dir, root, None, log)
    assert one.boot_id != two.boot_id
    assert one.default_agent_id("host") == two.default_agent_id("host")
    assert len(one.default_agent_id("h" * 253)) == 128


def test_fault_13b_write_is_synced_before_the_rename_and_the_folder_after(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def spy_fsync(descriptor: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def spy_replace(self: Path, target: Path) -> Path:
        calls.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(Path, "replace", spy_replace)
    durable.write(state_dir / "file.json", {"a": 1})
    assert calls == ["file", "rename", "folder"]


def test_fault_06_failed_write_leaves_the_old_file_and_nothing_else(
    root: Path, state_dir: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = Identity(state_dir, root, None, log)
    names = sorted(path.name for path in state_dir.iterdir())

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        identity.store_generation(1)
    assert identity.machine.generation == 0
    assert json.loads((state_dir / MACHINE_ID_FILE).read_text())["generation"] == 0
    assert sorted(path.name for path in state_dir.iterdir()) == names
    (state_dir / KEY_FILE).unlink()
    with pytest.raises(ConfigError, match="No space"):
        Identity(state_dir, root, None, log)


@given(st.binary(max_size=300))
def test_any_bytes_are_either_an_identity_or_unusable(content: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MACHINE_ID_FILE
        path.write_bytes(content)
        path.chmod(0o600)
        assert Identity(Path(folder), Path("/nowhere"), None, Log(logging.Logger("quiet", 99))).machine.machine_id


def test_damaged_enrollment_is_set_aside(state_dir: Path, log: Log, output: io.StringIO) -> None:
    (state_dir / enrollment.ENROLLMENT_FILE).write_text('{"token": "dxe_zz_zz"}')
    (state_dir / enrollment.ENROLLMENT_FILE).chmod(0o600)
    assert enrollment.read(state_dir, log) == enrollment.Record()
    assert "cannot be used" in output.getvalue()


def test_new_token_is_presented_by_a_known_device_and_a_spent_one_is_not(state_dir: Path, log: Log) -> None:
    origin = "https://a.example"
    old, new = new_enrollment_token(origin), new_enrollment_token(origin)
    first = enrollment.Enrollment(state_dir, origin, old, log)
    assert first.token(0) == old
    first.spent(old)
    assert first.token(1) == ""
    assert first.token(0) == old
    assert enrollment.Enrollment(state_dir, origin, new, log).token(1) == new
    assert enrollment.Enrollment(state_dir, "https://b.example", new, log).token(0) == ""
    with pytest.raises(ValueError, match="another server"):
        first.replace(new_enrollment_token("https://b.example"))
