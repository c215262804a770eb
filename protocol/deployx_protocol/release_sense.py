"""Releases that could be obeyed and never succeed. They are refused when they are made, and never on a device."""

from deployx_protocol import limits
from deployx_protocol.release_rules import InvalidField
from deployx_protocol.releases import Manifest, payload_of


def imprudent(manifest: Manifest) -> InvalidField | None:
    """What is wrong with ``manifest``; None if nothing is."""
    health = manifest.health
    if health and (health.successes - 1) * health.interval_s >= health.within_s:
        return InvalidField(
            "health",
            f"`health` asks for {health.successes} successes, {health.interval_s:g} s apart, within "
            f"{health.within_s:g} s, which cannot be.",
        )
    parts = {f"`{name}`": step.timeout_s for name, step in manifest.steps().items() if name in ("install", "detect")}
    if health:
        parts["`health`"] = health.within_s
    if manifest.confirm_s:
        parts["`confirm`"] = manifest.confirm_s
    if sum(parts.values()) > manifest.timeout_s:
        return InvalidField(
            "timeout_s",
            f"{', '.join(parts)} may take {sum(parts.values()):g} s together, and all of it {manifest.timeout_s:g} s; "
            "raise the one or lower the others.",
        )
    uninstall = manifest.uninstall
    if uninstall and uninstall.timeout_s > manifest.timeout_s:
        return InvalidField("uninstall", "`uninstall` may take longer than all of the release.")
    if len(payload_of(manifest)) > limits.RELEASE_MAX_BYTES:
        return InvalidField("", f"The release has more than {limits.RELEASE_MAX_BYTES:,} bytes as JSON.")
    return None
