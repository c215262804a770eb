"""`docs/protocol.md`: every event with its payload, and what the two ends agree on besides."""

import ast
from collections.abc import Iterable

from deployx_agent.connection.machine import TRANSITIONS
from deployx_protocol import PROTOCOL_VERSION, codes, deployments, limits, signing, states, tasks
from documents.source import (
    PROTOCOL,
    ROOT,
    Class,
    Field,
    Member,
    classes,
    constants,
    function,
    members,
    module_doc,
    sections,
)

_SIGNED = {"SignedRun", "SignedScript"}
_MESSAGES = {
    **classes(PROTOCOL / "messages.py"),
    **classes(PROTOCOL / "task_messages.py"),
    **{name: item for name, item in classes(PROTOCOL / "deployments.py").items() if "Message" in item.bases},
    **classes(PROTOCOL / "dsse.py"),
    **{name: item for name, item in classes(PROTOCOL / "signed_runs.py").items() if name in _SIGNED},
}
_TASKS = PROTOCOL / "tasks.py"
_DEPLOYMENTS = PROTOCOL / "deployments.py"
_MACHINE = ROOT / "agent" / "deployx_agent" / "connection" / "machine.py"
_TYPES = {
    "str": "text",
    "bytes": "text, base64",
    "float": "number",
    "int": "whole number",
    "bool": "true or false",
    "Counter": "whole number from 0",
    "Seconds": "number from 0",
    "Moment": "time",
    "Stream": "1 (stdout) or 2 (stderr)",
    "dict[str, str]": "object of text",
    "dict[str, int]": "object of whole numbers",
}
_FROM_PEERS = (
    "AgentRegister",
    "RegistrationAck",
    "Ping",
    "AgentLeaving",
    "TaskUpdate",
    "TaskUpdates",
    "OutputChunk",
    "TaskOutput",
    "WatchRun",
    "WatchDeployment",
)
_EXITS = {
    codes.EXIT_UNAVAILABLE: "tries again, after `retry_after_s` if it is given",
    codes.EXIT_TEMPFAIL: "exits 75, does not try again",
    codes.EXIT_NOPERM: "exits 77, does not try again",
    codes.EXIT_CONFIG: "exits 78, does not try again",
}

_HEAD = f"""# Protocol

<!-- Generated from protocol/deployx_protocol. Change it, then run `.venv/bin/python tools/docs.py`. -->

Protocol version {PROTOCOL_VERSION}. Socket.IO 5 over Engine.IO 4, JSON only; binary messages are refused. Times are
ISO 8601 in UTC with `Z`; durations are seconds. Unknown fields are ignored.

| | Agents | Dashboards |
|---|---|---|
| Path | `/socket.io/` | `/ui/socket.io/` |
| Namespace | `/` | `/` |
| Transports | websocket, polling | websocket |
| Who may connect | anyone, to register | who has a session cookie or `auth: {{token}}` |
| `Origin` | any | the server's own, or a listed one |
| Before that | only `agent_register` is taken | nothing is taken |
| Deadline | {limits.REGISTER_DEADLINE_S} s to register | 10 s to connect |

An event that asks for an acknowledgement gets `{{ok: true, data}}` or `{{ok: false, error: {{code, message}}}}`.

A dashboard that connects with `auth: {{batch: true}}` sends `watch`, gets a snapshot in pieces, and hears of changes in
`devices_changed`, `claims_changed` and `runs_changed`; of the tasks of a run it hears in `tasks_changed` after
`watch_run`; of deployments in `deployments_changed`, and of the devices of one in `deployment_targets_changed` after
`watch_deployment`. Any other client hears `device_status_changed` from the moment it is connected.
"""


def render() -> str:
    """The whole page."""
    parts = [
        _HEAD,
        _events(_MESSAGES),
        _objects(_MESSAGES),
        _codes(),
        _words(),
        _agent_states(),
        _task_states(),
        _deployment_states(),
        _output_frames(),
        _signing(),
        _tokens(),
        _limits(),
    ]
    return "\n".join(part.strip() + "\n" for part in parts)


def _events(found: dict[str, Class]) -> str:
    directions = sections(PROTOCOL / "events.py")
    structs = {name: item for item in found.values() for name in _names(item)}
    names = [item for item in constants(PROTOCOL / "events.py") if directions.get(item.name, "").count("→")]
    names = [item for item in names if item.value.startswith("'")]
    table = ["## Events", "", "| Event | Direction |", "|---|---|"]
    bodies = []
    for item in names:
        name = ast.literal_eval(item.value)
        if name not in structs and name == "watch":
            body = "Join, and send a snapshot. No payload."
        else:
            struct = structs[name]
            body = _sentence(struct.doc.partition(": ")[2]) + "\n\n" + _fields(struct, found)
        table.append(f"| [`{name}`](#{name}) | {directions[item.name]} |")
        bodies.append(f"### `{name}`\n\n{directions[item.name]}. {body}\n")
    return "\n".join(table) + "\n\n" + "\n".join(bodies)


def _names(struct: Class) -> list[str]:
    """The events that carry this struct, which its docstring begins with; none if it is a part of others."""
    return struct.doc.partition(": ")[0].split("`")[1::2] if struct.doc.startswith("`") else []


def _objects(found: dict[str, Class]) -> str:
    inner = [item for item in found.values() if not _names(item) and item.name not in ("Message", "Refused")]
    bodies = [f"### {item.name}\n\n{item.doc}\n\n{_fields(item, found)}\n" for item in inner]
    return "## Objects in payloads\n\n" + "\n".join(bodies)


def _fields(struct: Class, found: dict[str, Class]) -> str:
    fields = _all_fields(struct, found)
    if not fields:
        return "No fields."
    if struct.name not in _FROM_PEERS:
        rows = [f"| `{field.name}` | {_type(field.type)} | {field.doc} |" for field in fields]
        return "| Field | Type | Meaning |\n|---|---|---|\n" + "\n".join(rows)
    rows = [f"| `{f.name}` | {_type(f.type)} | {_if_absent(f)} | {_meaning(f, struct)} |" for f in fields]
    return "| Field | Type | If absent | Meaning |\n|---|---|---|---|\n" + "\n".join(rows)


def _all_fields(struct: Class, found: dict[str, Class]) -> list[Field]:
    inherited = [field for base in struct.bases if base in found for field in _all_fields(found[base], found)]
    return [*struct.fields, *inherited]


def _type(written: str) -> str:
    alternatives = [part.strip() for part in written.split("|")]
    return " or ".join(_one_type(part) for part in alternatives)


def _one_type(written: str) -> str:
    if written == "None":
        return "null"
    if written in _TYPES:
        return _TYPES[written]
    if written.startswith("list["):
        return f"list of {_one_type(written[5:-1])}"
    if written.startswith("Annotated["):
        return _one_type(written[10:].partition(",")[0])
    names = _names(_MESSAGES[written]) if written in _MESSAGES else []
    return f"[{written}](#{names[0] if names else written.lower()})"


def _if_absent(field: Field) -> str:
    if field.default is None:
        return "refused"
    shown = {"''": "empty", "{}": "empty", "[]": "empty", "None": "null"}
    return shown.get(field.default, field.default)


def _meaning(field: Field, struct: Class) -> str:
    return " ".join(part for part in (field.doc, _limit(field.name, struct)) if part)


def _limit(name: str, struct: Class) -> str:
    for call in struct.checks:
        if len(call.args) < 2 or not isinstance(call.args[1], ast.Constant) or call.args[1].value != name:
            continue
        most = (
            getattr(limits, call.args[2].attr) if len(call.args) > 2 and isinstance(call.args[2], ast.Attribute) else 0
        )
        match ast.unparse(call.func).rpartition(".")[2]:
            case "printable":
                return f"One line, at most {most} characters."
            case "ip_address":
                return "An IPv4 or IPv6 address."
            case "_facts":
                name_max, value_max = limits.FACT_NAME_MAX, limits.FACT_VALUE_MAX
                return f"At most {most} entries; names ≤ {name_max}, values ≤ {value_max} characters."
    return ""


def _codes() -> str:
    rows = []
    for member in members(PROTOCOL / "codes.py", "Code"):
        refusal = codes.REFUSALS[codes.Code(member.value)]
        does = _EXITS[codes.EXIT_UNAVAILABLE if refusal.retryable else refusal.exit_code]
        retryable = "yes" if refusal.retryable else "no"
        rows.append(f"| `{member.value}` | {_sentence(member.doc)} | {retryable} | {_sentence(does)} |")
    return (
        "## Code\n\nThe `code` of `registration_failed` and `session_ended`. A code that an agent does not know is "
        "judged by the `retryable` beside it.\n\n| Code | Means | Retryable | An agent |\n|---|---|---|---|\n"
        + "\n".join(rows)
    )


def _words() -> str:
    parts = ["## Words for a device\n"]
    for name, item in classes(PROTOCOL / "states.py").items():
        rows = [
            f"| `{member.value}` | {_sentence(_word(name, member))} |"
            for member in members(PROTOCOL / "states.py", name)
        ]
        parts.append(f"### {name}\n\n{item.doc}\n\n| Value | Means |\n|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _word(enum: str, member: Member) -> str:
    if enum == "StatusCause":
        return states.CAUSE_TEXT[states.StatusCause(member.value)]
    return member.doc


def _agent_states() -> str:
    return "## The agent's states\n\n" + _states(
        members(_MACHINE, "State"), [(*way, after) for way, after in TRANSITIONS.items()]
    )


def _task_states() -> str:
    ways = [(*way, after) for way, after in tasks.TRANSITIONS.items()]
    note = next(item for item in constants(_TASKS) if item.name == "TRANSITIONS")
    parts = ["## Tasks", module_doc(_TASKS)]
    parts += ["### TaskState", _states(members(_TASKS, "TaskState"), ways), note.doc]
    for name in ("TaskEvent", "TaskCode"):
        rows = [f"| `{m.value}` | {_sentence(m.doc or _as_state(m.value))} |" for m in members(_TASKS, name) if m.value]
        doc = classes(_TASKS)[name].doc
        parts += [f"### {name}", doc, "| Value | Means |\n|---|---|\n" + "\n".join(rows)]
    return "\n\n".join(parts)


def _deployment_states() -> str:
    deployment = [(*way, after) for way, after in deployments.TRANSITIONS.items()]
    target = [(*way, after) for way, after in deployments.TARGET_TRANSITIONS.items()]
    notes = {item.name: item.doc for item in constants(_DEPLOYMENTS)}
    parts = ["## Deployments", module_doc(_DEPLOYMENTS)]
    parts += ["### DeploymentState", _states(members(_DEPLOYMENTS, "DeploymentState"), deployment)]
    parts += [notes["TRANSITIONS"]]
    parts += ["### TargetState", _states(members(_DEPLOYMENTS, "TargetState"), target)]
    words = [(_DEPLOYMENTS, name) for name in ("WaveState", "Order", "Offline", "OnFailure")]
    words += [(PROTOCOL / "releases.py", name) for name in ("Action", "Phase", "Outcome")]
    for file, name in words:
        rows = [f"| `{m.value}` | {_sentence(m.doc or _plain(m.value))} |" for m in members(file, name) if m.value]
        parts += [f"### {name}", classes(file)[name].doc, "| Value | Means |\n|---|---|\n" + "\n".join(rows)]
    return "\n\n".join(parts)


def _plain(word: str) -> str:
    return word.replace("_", " ")


def _as_state(event: str) -> str:
    return f"the agent reports `{event}`"


def _states(found: list[Member], ways: Iterable[tuple[str, str, str]]) -> str:
    rows = [f"| `{item.value}` | {_sentence(item.doc)} | {_arrows(item.value, ways)} |" for item in found]
    return "| State | Means | Arrows |\n|---|---|---|\n" + "\n".join(rows)


def _arrows(state: str, ways: Iterable[tuple[str, str, str]]) -> str:
    return ", ".join(f"`{event}` → `{after}`" for before, event, after in ways if before == state)


def _output_frames() -> str:
    return f"## Output\n\n{module_doc(PROTOCOL / 'frames.py')}"


def _signing() -> str:
    tree = function(PROTOCOL / "signing.py", "register_bytes")
    parts = next(node for node in ast.walk(tree) if isinstance(node, ast.List)).elts
    rows = [f"{number}. {_part(part)}" for number, part in enumerate(parts, 1)]
    return (
        f"## Signing bytes\n\n{module_doc(PROTOCOL / 'signing.py')}\n\n"
        "Every part is UTF-8 text; numbers are written in decimal. A map is "
        "the number of its entries, then name and value of each, sorted by name. `CONTEXT` is "
        f"`{signing.CONTEXT}`.\n\n" + "\n".join(rows)
    )


def _part(part: ast.expr) -> str:
    if isinstance(part, ast.Starred) and isinstance(part.value, ast.IfExp):
        body = part.value.body
        words = [_part(one) for one in body.elts] if isinstance(body, ast.Tuple) else [_part(body)]
        return f"{', '.join(words)}; nothing where {_part(part.value.test)} is empty"
    written = ast.unparse(part)
    for prefix in ("*", "_map_parts(", "str("):
        written = written.removeprefix(prefix)
    return f"`{written.rstrip(')').removeprefix('message.')}`"


def _tokens() -> str:
    return f"## Enrolment token\n\n{module_doc(PROTOCOL / 'tokens.py')}"


def _limits() -> str:
    rows = [f"| `{m.name}` | {getattr(limits, m.name):,} | {m.doc} |" for m in constants(PROTOCOL / "limits.py")]
    return (
        "## Limits\n\n"
        + module_doc(PROTOCOL / "limits.py")
        + "\n\n| Limit | Value | |\n|---|---|---|\n"
        + "\n".join(rows)
    )


def _sentence(text: str) -> str:
    first = text.partition(" ")[0]
    text = text if "_" in first else text[:1].upper() + text[1:]
    return text if not text or text.endswith(".") else f"{text}."
