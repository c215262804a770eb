"""`deployx release`: make releases, sign and verify them, bring them to the server."""

import contextlib
import sys
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from deployx_cli import completing, keys, output, safe
from deployx_cli.connection import InsecureHttp, connected
from deployx_cli.errors import EXIT_FAILED, CommandError, WrongUsage
from deployx_cli.progress import Progress

app = typer.Typer(no_args_is_help=True, help="What is installed on devices: made, signed, verified, sent.")
MANIFEST = "deployx.yaml"
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, for programs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Target = Annotated[
    str,
    typer.Argument(
        metavar="FILE|NAME@VERSION",
        help="A file from `deployx release create --save`, or a release on the server.",
        autocompletion=completing.release,
    ),
]
Stored = Annotated[
    str, typer.Argument(metavar="NAME@VERSION", help="A release on the server.", autocompletion=completing.release)
]
Keys = Annotated[
    list[str] | None,
    typer.Option("--key", metavar="KEY", help="A key: its name or the path of its file; repeatable."),
]


@app.command(
    "create",
    epilog="**Examples**\n\n`deployx release create`\n\n`deployx release create shop/deployx.yaml --sign ada`\n\n"
    "Without a server, and sent later:\n\n"
    "`deployx release create --number 7 --save shop.release.json --sign ada`\n\n"
    "`deployx release push shop.release.json`",
)
def create_command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help=f"The manifest; {MANIFEST} by default.", show_default=False)
    ] = Path(MANIFEST),
    save: Annotated[
        str, typer.Option(metavar="FILE", help="Send nothing; keep the release in this file, to sign and push later.")
    ] = "",
    sign: Annotated[list[str] | None, typer.Option(metavar="KEY", help="Sign it with this key; repeatable.")] = None,
    number: Annotated[
        int | None, typer.Option(min=1, help="Its number; by default one more than the newest on the server.")
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
    insecure_http: InsecureHttp = False,
) -> None:
    """Make a release of a manifest and its files, and bring it to the server.

    Everything that is wrong with the manifest is said with its line and column, and then nothing is made. What the
    server has already of the files is not sent again. It prints NAME@VERSION.
    """
    from deployx_cli import release_files, releases

    progress = Progress()
    with contextlib.ExitStack() as stack:
        api = cache(lambda: stack.enter_context(connected(insecure_http)))  # a manifest can do without a server
        made = releases.draft(file, progress)
        manifest = releases.complete(made, api, number)
        release = releases.kept_of(manifest, made, file.parent, Path(save) if save else file)
        if sign:
            loaded = [keys.load(name) for name in sign]
            releases.agreed(release, yes=yes or not sys.stdin.isatty())
            release = releases.sign(release, loaded)
        if save:
            release_files.save(Path(save), release)
            progress.say(f"{release.called} is in {safe.text(save)}, signed by {len(release.signatures)}.")
            _print(release.called, release.envelope, as_json=as_json)
            return
        kept = releases.push(api(), release, file.parent, progress)
    progress.say(f"{release.called} is on the server, number {manifest.number}, signed by {len(kept['signers'])}.")
    _print(release.called, kept, as_json=as_json)


@app.command(
    "check", epilog="**Examples**\n\n`deployx release check`\n\n`deployx release check shop/deployx.yaml --json`"
)
def check_command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help=f"The manifest; {MANIFEST} by default.", show_default=False)
    ] = Path(MANIFEST),
    as_json: AsJson = False,
) -> None:
    """Say what a manifest would make, or all that is wrong with it. Needs no server, and makes nothing."""
    import msgspec

    from deployx_cli import release_words, releases

    manifest = releases.draft(file, Progress()).manifest
    if as_json:
        print(safe.as_json(msgspec.to_builtins(manifest)))
        return
    for line in release_words.printed(manifest):
        print(line)


@app.command(
    "sign",
    epilog="**Examples**\n\n`deployx release sign shop.release.json --key ada`\n\n"
    "`deployx release sign shop@2.4 --key ada`",
)
def sign_command(
    target: Target, key: Keys = None, yes: Yes = False, as_json: AsJson = False, insecure_http: InsecureHttp = False
) -> None:
    """Sign a release, after showing all that it does: in its file, without a server, or on the server."""
    from deployx_cli import release_files, releases

    if not key:
        raise WrongUsage("Say with which key, as in --key ada. deployx key create makes one.")
    if releases.is_file(target):
        release = release_files.load(Path(target))
        releases.agreed(release, yes=yes)
        release = releases.sign(release, [keys.load(name) for name in key])
        release_files.save(Path(target), release)
        typer.echo(f"{release.called} has {len(release.signatures)} signatures now.", err=True)
        _print(release.called, release.envelope, as_json=as_json)
        return
    with connected(insecure_http) as api:
        detail, release = releases.fetched(api, target)
        releases.agreed(release, yes=yes)
        signed = releases.sign(release, [keys.load(name) for name in key])
        new = {"signatures": [one for one in signed.signatures if one not in release.signatures]}
        after = api.object("POST", f"/releases/{detail['id']}/signatures", json=new)
    typer.echo(f"{release.called} has {len(after['signers'])} signatures now.", err=True)
    _print(release.called, after, as_json=as_json)


@app.command(
    "verify",
    epilog="**Examples**\n\n`deployx release verify shop.release.json --key ada`\n\n"
    "`deployx release verify shop@2.4 --key ada --key 5f2b…64 digits --threshold 2`\n\n"
    "**Exit codes**: 0 enough of these keys have signed it, 1 too few.",
)
def verify_command(
    target: Target,
    key: Keys = None,
    threshold: Annotated[int, typer.Option(min=1, help="So many of the keys have to have signed it.")] = 1,
    as_json: AsJson = False,
    insecure_http: InsecureHttp = False,
) -> None:
    """Say whether keys of yours have signed a release: keys by name, by file, or the 64 digits of their public halves.

    Nobody's word is taken: not the server's, and not that of the ids beside the signatures.
    """
    from deployx_cli import releases

    if not key:
        raise WrongUsage("Say whose signatures count, as in --key ada.")
    release = _release(target, insecure_http)
    good = releases.verified(release, key)
    if as_json:
        signers = [{"key": name, "key_id": key_id} for name, key_id in good]
        print(safe.as_json({"release": release.called, "sha256": release.sha256, "signed_by": signers}))
    for name, key_id in good if not as_json else []:
        print(f"{release.called} is signed by {safe.text(name)} (key {key_id})")
    if len(good) < threshold:
        raise CommandError(
            f"{release.called} is signed by {len(good) or 'none'} of these keys, and has to be by {threshold}."
        )


@app.command(
    "compliance",
    epilog="**Examples**\n\n`deployx release compliance shop@2.4`\n\n"
    "`deployx release compliance shop@2.4 --on role=web --state older,missing --json`\n\n"
    "**Exit codes**: 0 every device that it is for has exactly it, 1 some have not, 69 server unreachable, "
    "77 not allowed.",
)
def compliance_command(
    target: Stored,
    on: Annotated[
        str, typer.Option("--on", metavar="SELECTOR", help="Only these devices.", autocompletion=completing.selector)
    ] = "",
    state: Annotated[
        str,
        typer.Option(
            metavar="STATES", help="List only these: exact, older, newer, missing, unknown, unfit; with commas."
        ),
    ] = "",
    as_json: AsJson = False,
    insecure_http: InsecureHttp = False,
) -> None:
    """Say which devices have a release: exactly it, an older or a newer one, or none; how many of each on stderr.

    It is known from what deployments did, and of packages from the lists that agents report.
    """
    from deployx_cli import releases

    asked = {"selector": on} if on else {}
    with connected(insecure_http) as api:
        found, counts = releases.compliance(api, target, asked, releases.standings(state))
    if as_json:
        print(safe.as_json({"counts": counts, "devices": found}))
    else:
        output.print_compliance(found)
        print(", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no device", file=sys.stderr)
    if any(counts[name] for name in counts if name not in ("exact", "unfit")):
        raise typer.Exit(EXIT_FAILED)


@app.command(
    "show", epilog="**Examples**\n\n`deployx release show shop@2.4`\n\n`deployx release show shop.release.json`"
)
def show_command(target: Target, as_json: AsJson = False, insecure_http: InsecureHttp = False) -> None:
    """Print all that a release does, who signed it, and what deploys it."""
    import msgspec

    from deployx_cli import release_files, release_words, releases

    if releases.is_file(target):
        release = release_files.load(Path(target))
        detail: dict[str, Any] = {**release.envelope, "manifest": msgspec.to_builtins(release.manifest)}
        signers = [{"key_id": one["keyid"], "name": "", "good": None} for one in release.signatures]
    else:
        with connected(insecure_http) as api:
            detail, release = releases.fetched(api, target)
        signers = detail["signers"]
    if as_json:
        print(safe.as_json(detail))
        return
    for line in release_words.printed(release.manifest):
        print(line)
    print(f"  SHA-256 {release.sha256}")
    for one in signers:
        print(f"  signed by {safe.text(one['name'] or 'a key that nobody named')} (key {safe.text(one['key_id'])})")
    if not signers:
        print("  signed by nobody")
    for one in detail.get("used_by", ()):
        print(f"  deployment {safe.text(one['id'])}: {safe.text(one['state'])}, {one['total']} devices")


@app.command("list", epilog="**Examples**\n\n`deployx release list`\n\n`deployx release list shop --json`")
def list_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Only releases of this name.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="The newest so many.")] = 50,
    as_json: AsJson = False,
    insecure_http: InsecureHttp = False,
) -> None:
    """List releases on the server, newest first."""
    found: list[dict[str, Any]] = []
    with connected(insecure_http) as api:
        for one in api.pages("/releases", {"limit": "100", **({"name": name} if name else {})}):
            found.append(one)
            if len(found) == limit:
                break
    print(safe.as_json(found)) if as_json else output.print_releases(found)


@app.command("push", epilog="**Examples**\n\n`deployx release push shop.release.json`")
def push_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="From `deployx release create --save`.")],
    as_json: AsJson = False,
    insecure_http: InsecureHttp = False,
) -> None:
    """Bring a release that was kept in a file to the server, with its artifacts. Repeat it as you like."""
    from deployx_cli import release_files, releases

    release = release_files.load(file)
    with connected(insecure_http) as api:
        kept = releases.push(api, release, file.parent, Progress())
    typer.echo(f"{release.called} is on the server, signed by {len(kept['signers'])}.", err=True)
    _print(release.called, kept, as_json=as_json)


@app.command("delete", epilog="**Examples**\n\n`deployx release delete shop@2.4`")
def delete_command(target: Stored, yes: Yes = False, insecure_http: InsecureHttp = False) -> None:
    """Delete a release that was never deployed. Its artifacts go later, unless another release needs them."""
    from deployx_cli import releases

    with connected(insecure_http) as api:
        found = releases.found(api, target)
        if sys.stdin.isatty() and not yes and not typer.confirm(f"Delete {target}?", err=True):
            raise typer.Exit(EXIT_FAILED)
        api.delete(f"/releases/{found['id']}")
    typer.echo(f"{target} is deleted.", err=True)


def _release(target: str, insecure_http: bool) -> Any:
    from deployx_cli import release_files, releases

    if releases.is_file(target):
        return release_files.load(Path(target))
    with connected(insecure_http) as api:
        return releases.fetched(api, target)[1]


def _print(called: str, whole: dict[str, Any], *, as_json: bool) -> None:
    print(safe.as_json(whole) if as_json else called)
