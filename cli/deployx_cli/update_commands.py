"""`deployx agent-update`: versions of the agent, signed with keys that no server has, and brought to it as releases."""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployx_cli import keys, safe
from deployx_cli.connection import InsecureHttp, connected
from deployx_cli.errors import CommandError, WrongUsage
from deployx_cli.keys import Key
from deployx_cli.progress import Progress

if TYPE_CHECKING:
    from deployx_cli.update_repository import Repository

app = typer.Typer(no_args_is_help=True, help="New versions of the agent, vouched for by keys that no server has.")

Folder = Annotated[Path, typer.Option("--repository", metavar="FOLDER", help="Where versions and signatures are kept.")]
Signing = Annotated[
    list[str] | None,
    typer.Option("--key", metavar="KEY", help="A key to sign with: its name or the path of its file; repeatable."),
]
RootKeys = Annotated[
    list[str] | None,
    typer.Option("--root", metavar="KEY", help="A key that says which keys count. Keep it away; repeatable."),
]
TargetsKeys = Annotated[
    list[str] | None,
    typer.Option("--targets", metavar="KEY", help="A key that vouches for versions; by default those of --root."),
]
FreshKeys = Annotated[
    list[str] | None,
    typer.Option("--fresh", metavar="KEY", help="A key that says how long that holds; by default those of --targets."),
]
RootThreshold = Annotated[int, typer.Option("--root-threshold", min=1, help="So many of the root's keys have to sign.")]
TargetsThreshold = Annotated[
    int, typer.Option("--targets-threshold", min=1, help="So many of the targets' keys have to sign.")
]
_FOLDER = Path("deployx-updates")


@app.command(
    "init",
    epilog="**Examples**\n\n`deployx agent-update init --root ada`\n\n"
    "`deployx agent-update init --root ada --root bob --root-threshold 2 --targets ci`",
)
def init_command(
    root: RootKeys = None,
    targets: TargetsKeys = None,
    fresh: FreshKeys = None,
    root_threshold: RootThreshold = 1,
    targets_threshold: TargetsThreshold = 1,
    repository: Folder = _FOLDER,
) -> None:
    """Say which keys vouch for versions of the agent. Once; then put the root on every machine."""
    there = _repository(repository)
    there.begin(_roles(root, targets, fresh), _thresholds(root_threshold, targets_threshold))
    typer.echo(f"The keys are named in {safe.text(repository)}. Keep that folder, and copies of it.", err=True)
    typer.echo("Next: deployx agent-update root --save update-root.json, and put that beside install.sh.", err=True)


@app.command(
    "rekey",
    epilog="**Examples**\n\nAda's key is lost, Bob's and Carl's count from now on:\n\n"
    "`deployx agent-update rekey --root bob --root carl --key bob`",
)
def rekey_command(
    root: RootKeys = None,
    targets: TargetsKeys = None,
    fresh: FreshKeys = None,
    key: Signing = None,
    root_threshold: RootThreshold = 1,
    targets_threshold: TargetsThreshold = 1,
    repository: Folder = _FOLDER,
) -> None:
    """Let other keys count. Enough of the old root's keys and of the new one's have to sign; machines follow by
    themselves with the next update."""
    there = _repository(repository)
    roles = _roles(root, targets, fresh)
    there.rekey(roles, _thresholds(root_threshold, targets_threshold), _opened(key or [], required=False))
    _said_whether_complete(there)


@app.command(
    "add",
    epilog="**Examples**\n\n`make wheels`, then `deployx agent-update add dist/agent --key ada`",
)
def add_command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What `make wheels` has made, such as dist/agent.")],
    key: Signing = None,
    repository: Folder = _FOLDER,
) -> None:
    """Vouch for a version: make a bundle of its wheels, and sign that. It prints the version."""
    from deployx_cli import update_bundle

    there, wheels = _repository(repository), update_bundle.gathered(folder)
    opened = _opened(key)
    there.newest_root()
    if wheels.version in there.versions():
        raise CommandError(f"Version {wheels.version} is there already; another content needs another version.")
    update_bundle.write(wheels, there.bundle(wheels.version))
    number = there.add(wheels.version, opened)
    size = there.bundle(wheels.version).stat().st_size
    where = ", ".join(wheels.platforms)
    typer.echo(f"Version {wheels.version} is number {number}, {size >> 10} KiB, for {where}.", err=True)
    _said_whether_complete(there)
    print(safe.text(wheels.version))


@app.command("sign", epilog="**Examples**\n\n`deployx agent-update sign --key bob`")
def sign_command(
    key: Signing = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    repository: Folder = _FOLDER,
) -> None:
    """Add your signatures where two or more have to sign, after showing for what."""
    there = _repository(repository)
    for version, number in there.versions().items():
        typer.echo(f"  version {safe.text(version)}, number {number}", err=True)
    for role, of_role in there.newest_root().signed.roles.items():
        typer.echo(f"  {role}: {of_role.threshold} of {', '.join(of_role.keyids)}", err=True)
    if not yes:
        if not sys.stdin.isatty():
            raise CommandError("There is nobody to ask whether to sign this; say --yes if you have read it.")
        if not typer.confirm("Sign this?", err=True):
            raise CommandError("Nothing was signed.")
    done = there.sign(_opened(key))
    typer.echo(f"Signed: {', '.join(done) or 'nothing, your signatures are there'}.", err=True)
    _said_whether_complete(there)


@app.command("refresh", epilog="**Examples**\n\n`deployx agent-update refresh --key ci`")
def refresh_command(
    key: Signing = None,
    days: Annotated[int, typer.Option(min=1, max=365, help="For how long agents take what is here.")] = 30,
    repository: Folder = _FOLDER,
) -> None:
    """Say again that what is here is the newest, since agents take nothing that is older than its time. Then push."""
    there = _repository(repository)
    there.refresh(_opened(key), days)
    _said_whether_complete(there)


@app.command("withdraw", epilog="**Examples**\n\n`deployx agent-update withdraw 0.2.0 --key ada`")
def withdraw_command(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="As `deployx agent-update list` has it.")],
    key: Signing = None,
    repository: Folder = _FOLDER,
) -> None:
    """Let no agent go to a version any more, nor back to it, as soon as it has seen that: push something."""
    there = _repository(repository)
    there.withdraw(version, _opened(key))
    _said_whether_complete(there)


@app.command("root", epilog="**Examples**\n\n`deployx agent-update root --save dist/agent/update-root.json`")
def root_command(
    save: Annotated[str, typer.Option(metavar="FILE", help="Into this file; else it is printed.")] = "",
    repository: Folder = _FOLDER,
) -> None:
    """The root that machines trust: install.sh takes it along, or put it to /etc/deployx-agent/update-root.json."""
    from deployx_cli.update_repository import write

    there = _repository(repository)
    number = there.newest_root().signed.version
    text = there.published()[f"{number}.root.json"]
    if not save:
        print(text, end="")
        return
    try:
        write(Path(save), text.encode())
    except OSError as error:
        raise CommandError(f"{save} cannot be written: {error.strerror}.") from None
    typer.echo(f"The root is in {safe.text(save)}.", err=True)


@app.command("list", epilog="**Examples**\n\n`deployx agent-update list`")
def list_command(
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout, for programs.")] = False,
    repository: Folder = _FOLDER,
) -> None:
    """The versions that agents may run, whose keys count, and until when."""
    there = _repository(repository)
    roles = there.newest_root().signed.roles
    expires = there.expires()
    if as_json:
        plain = {name: {"keys": role.keyids, "threshold": role.threshold} for name, role in roles.items()}
        print(safe.as_json({"versions": there.versions(), "expires": expires.isoformat(), "roles": plain}))
        return
    for version, number in there.versions().items():
        print(f"{safe.text(version)}  number {number}")
    for name, role in roles.items():
        print(f"{name}: {role.threshold} of {', '.join(role.keyids)}")
    print(f"until {expires:%Y-%m-%d %H:%M} UTC")
    _said_whether_complete(there)


@app.command(
    "push",
    epilog="**Examples**\n\n`deployx agent-update push 0.2.0`, then\n\n"
    "`deployx deploy deployx-agent@0.2.0 --on '*' --watch`",
)
def push_command(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="As `deployx agent-update list` has it.")],
    sign: Annotated[
        list[str] | None,
        typer.Option("--sign", metavar="KEY", help="Sign the release too, for machines whose policy asks; repeatable."),
    ] = None,
    insecure_http: InsecureHttp = False,
    repository: Folder = _FOLDER,
) -> None:
    """Bring a version to the server, as a release that `deployx deploy` brings to machines. It prints NAME@VERSION.

    The bundle is sent once; after a refresh, push again: that is another release of the same version.
    """
    from deployx_cli import releases, update_release

    there, progress = _repository(repository), Progress()
    opened = [keys.load(name) for name in sign or []]
    made = update_release.made(there, version)
    with contextlib.ExitStack() as stack:
        api = stack.enter_context(connected(insecure_http))
        release = update_release.numbered(made, api)
        if opened:
            release = releases.sign(release, opened)
        releases.push(api, release, repository, progress)
    progress.say(f"{release.called} is on the server, number {release.manifest.number}.")
    print(safe.text(release.called))


def _repository(folder: Path) -> "Repository":
    from deployx_cli.update_repository import Repository

    return Repository(folder)


def _roles(root: list[str] | None, targets: list[str] | None, fresh: list[str] | None) -> dict[str, Sequence[Key]]:
    if not root:
        raise WrongUsage("Say whose key says which keys count, as in --root ada. deployx key create makes one.")
    opened: dict[str, Key] = {}

    def of(names: list[str]) -> list[Key]:
        for name in names:
            if name not in opened:
                opened[name] = keys.load(name)
        return [opened[name] for name in names]

    targets = targets or root
    fresh = fresh or targets
    return {"root": of(root), "targets": of(targets), "snapshot": of(fresh), "timestamp": of(fresh)}


def _thresholds(root: int, targets: int) -> dict[str, int]:
    return {"root": root, "targets": targets}


def _opened(names: list[str] | None, *, required: bool = True) -> list[Key]:
    if required and not names:
        raise WrongUsage("Say with which key to sign, as in --key ada; deployx agent-update list shows whose count.")
    return [keys.load(name) for name in names or []]


def _said_whether_complete(there: "Repository") -> None:
    try:
        there.check()
    except CommandError as why:
        typer.echo(str(why), err=True)
