"""`deployx-agent policy check`: in plain words, what the server may do on this machine."""

from datetime import UTC, datetime
from pathlib import Path

from deployx_agent.exits import ConfigError
from deployx_agent.policy.file import PolicyFile
from deployx_agent.policy.guard import NO_POLICY, own_user
from deployx_protocol.policy_words import words


def described(path: Path | None) -> list[str]:
    """Its lines. Raises ConfigError for a policy that cannot be used, and so lets nothing run."""
    file = PolicyFile(path)
    found = file.current()
    stop = file.stopped_by(found)
    lines = [f"All work is stopped by the file {stop}; remove it to go on. Otherwise:"] if stop else []
    if found is None:
        return [*lines, f"{NO_POLICY} To change that, write {file.path}."]
    if found.policy is None:
        raise ConfigError(f"{found.error} The agent runs nothing until it is mended.")
    told = words(found.policy, own_user(), datetime.now(UTC))
    lines.append(f"The policy {found.path} (SHA-256 {found.sha256}).")
    for title, sentences in (("The server may:", told.may), ("It may not:", told.may_not)):
        lines += [title, *(f"  - {sentence}" for sentence in sentences)] if sentences else []
    return lines
