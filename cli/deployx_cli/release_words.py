"""A release in words: everything that it does, for who is about to sign or deploy it."""

import shlex
from collections.abc import Iterator

from deployx_cli import safe
from deployx_cli.durations import spoken
from deployx_cli.uploading import spoken as bytes_spoken
from deployx_protocol.releases import Manifest, Step


def described(manifest: Manifest) -> Iterator[str]:
    """Its lines."""
    yield f"{manifest.name}@{manifest.version}, number {manifest.number}, {manifest.kind.value}"
    if manifest.description:
        yield f"  {manifest.description}"
    yield f"  for: {', '.join(manifest.platforms)}"
    for one in manifest.artifacts:
        yield f"  artifact {one.name}: {bytes_spoken(one.size)}, SHA-256 {one.sha256}"
    yield from _content(manifest)
    for name, step in manifest.steps().items():
        yield f"  {name}: {_does(step)}"
    if manifest.health:
        times = f"{manifest.health.successes} times in a row, " if manifest.health.successes > 1 else ""
        within, every = spoken(manifest.health.within_s), spoken(manifest.health.interval_s)
        yield f"  healthy: when that succeeds {times}within {within}, tried every {every}"
    if manifest.confirm_s:
        yield f"  undone by the device unless a server answers within {spoken(manifest.confirm_s)}"
    if manifest.previous:
        yield f"  goes back to: {manifest.previous.version} (SHA-256 {manifest.previous.sha256})"
    yield f"  reboot: {manifest.reboot.value.replace('_', ' ')}; at most {spoken(manifest.timeout_s)}"


def printed(manifest: Manifest) -> list[str]:
    """The same, safe for a terminal."""
    return [safe.line(line) for line in described(manifest)]


def _content(manifest: Manifest) -> Iterator[str]:
    if manifest.archive:
        strip = f", without {manifest.archive.strip} leading folders" if manifest.archive.strip else ""
        yield f"  unpacks {manifest.archive.artifact} in place of {manifest.archive.into}{strip}"
    if manifest.file:
        whose = f", of {manifest.file.owner}" if manifest.file.owner else ""
        yield f"  puts {manifest.file.artifact} to {manifest.file.path}, mode {manifest.file.mode}{whose}"
    if manifest.package:
        wanted = manifest.package.version or manifest.package.state.value
        yield f"  package {manifest.package.name}: {wanted}"
    if manifest.agent:
        yield f"  becomes the agent itself, version {manifest.agent.version}, once that has registered"


def _does(step: Step) -> str:
    if step.shell is not None:
        said = f"by the shell: {step.shell}"
    elif step.command is not None:
        said = shlex.join(step.command)
    else:
        said = shlex.join([*step.interpreter, step.artifact or "", *step.args])
    env = "".join(f" {name}={shlex.quote(value)}" for name, value in step.env.items())
    return f"{said}{' with' + env if env else ''} (at most {spoken(step.timeout_s)})"
