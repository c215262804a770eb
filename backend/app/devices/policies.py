"""What a device reports of its policy, for people. The file is on the device, and only its root can change it."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from app.accounts.schemas import Timestamp
from app.clock import iso_or_none
from deployx_protocol.policy import report_of
from deployx_protocol.policy_words import words


class PolicyOperator(BaseModel):
    """Somebody whose signature counts there."""

    name: str
    key_id: str
    until: Timestamp | None


class DevicePolicy(BaseModel):
    """What a device lets this server do, as it said when it registered."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    there: bool
    """Whether it has a policy at all; without one it does whatever it is told."""
    file: str
    sha256: str
    """Of the file; empty if it could not be read."""
    error: str
    """Why it cannot be used; then nothing runs there."""
    stop: str
    """The file by which somebody there has stopped all work."""
    may: list[str]
    """What the server may do, a sentence each that goes on from *The server may*."""
    may_not: list[str]
    operators: list[PolicyOperator]


def device_policy(text: str, now: datetime) -> DevicePolicy:
    """The report ``text`` in words."""
    report = report_of(text)
    told = words(report.rules, report.user, now) if report and report.rules else None
    operators = report.rules.operator if report and report.rules else []
    return DevicePolicy.model_validate(
        {
            "there": report is not None,
            "file": report.file if report else "",
            "sha256": report.sha256 if report else "",
            "error": report.error if report else "",
            "stop": report.stop if report else "",
            "may": told.may if told else [],
            "may_not": told.may_not if told else [],
            "operators": [
                {"name": one.name, "key_id": one.key_id, "until": iso_or_none(one.until)} for one in operators
            ],
        }
    )
