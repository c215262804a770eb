"""What no Python file that is installed somewhere may do. Each rule says at which lines it is broken, and how."""

import ast
import re
from collections.abc import Callable, Iterator

Broken = Iterator[tuple[int, str]]

_METHODS = frozenset({"get", "post", "put", "patch", "delete", "head", "options", "api_route", "route", "websocket"})
_PUBLIC = {
    "backend/app/web/health.py": "whether the process is alive",
    "backend/app/web/spa.py": "the dashboard's own files",
    "backend/app/web/docs.py": "the description of the API",
}
_PUBLIC_FUNCTIONS = {
    ("backend/app/accounts/routes.py", "login"),
    ("backend/app/accounts/routes.py", "second_factor"),
    ("backend/app/accounts/people_routes.py", "look_at_invitation"),
    ("backend/app/accounts/people_routes.py", "accept_invitation"),
}
"""They show another secret: a password, a code, an invitation."""
_SQL = frozenset({"execute", "executemany", "executescript", "exec_driver_sql", "scalar", "scalars"})
_TEXTS = frozenset({"text", "sa.text", "sqlalchemy.text"})
_SPAWNS = frozenset({"run", "Popen", "call", "check_call", "check_output"})
_SECRET = re.compile(
    r"(?:^|_)(?:tokens?|secrets?|passwords?|passphrases?|cookies?|signatures?|otp|totp|codes_left|recovery_codes?)$",
    re.IGNORECASE,
)
_LOGS = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log", "bind"})
_EMITS = frozenset({"emit", "tell", "publish", "send_runs", "send_deployments", "send_claims"})
_UNITS = frozenset({"begin", "write"})


def routes(file: str, tree: ast.Module) -> Broken:
    """A route has a principal, or a dependency of its own; the public ones stand in a table."""
    if file in _PUBLIC or not file.startswith("backend/app/"):
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or (file, node.name) in _PUBLIC_FUNCTIONS:
            continue
        for mark in node.decorator_list:
            if not (isinstance(mark, ast.Call) and isinstance(mark.func, ast.Attribute) and mark.func.attr in _METHODS):
                continue
            guarded = any(keyword.arg == "dependencies" for keyword in mark.keywords)
            if not guarded and not any(map(_guards, _parameters(node))):
                yield node.lineno, f"{node.name} asks for no permission"


def sql(_file: str, tree: ast.Module) -> Broken:
    """SQL is never put together from text."""
    for call in _calls(tree):
        takes_sql = _last(call.func) in _SQL or _dotted(call.func) in _TEXTS
        if takes_sql and call.args and _built(call.args[0]):
            yield call.args[0].lineno, "SQL is put together from text: bind what changes"


def shell(_file: str, tree: ast.Module) -> Broken:
    """No program is started by a shell."""
    for call in _calls(tree):
        name = _last(call.func)
        if name == "create_subprocess_shell" or _dotted(call.func) in {"os.system", "os.popen"}:
            yield call.lineno, "this starts a shell"
        elif _dotted(call.func).startswith("subprocess.") or name == "create_subprocess_exec":
            for keyword in call.keywords:
                if keyword.arg == "shell" and not (isinstance(keyword.value, ast.Constant) and not keyword.value.value):
                    yield call.lineno, "this starts a shell"


def arguments(_file: str, tree: ast.Module) -> Broken:
    """A program gets a list of arguments, never one text."""
    for call in _calls(tree):
        if _dotted(call.func) not in {f"subprocess.{name}" for name in _SPAWNS} or not call.args:
            continue
        first = call.args[0]
        if _built(first) or (isinstance(first, ast.Constant) and isinstance(first.value, str)):
            yield call.lineno, "a program is started with one text: give a list"


def comparisons(_file: str, tree: ast.Module) -> Broken:
    """What somebody sends is never compared with a secret by ``==``, which takes longer the more of it is right."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], ast.Eq | ast.NotEq):
            continue
        sides = [node.left, *node.comparators]
        if any(isinstance(side, ast.Constant) or _last(side).isupper() for side in sides):
            continue
        if any(_SECRET.search(_last(side)) and not _is_column(side) for side in sides):
            yield node.lineno, "a secret is compared by ==: use hmac.compare_digest, or look its hash up"


def emits(_file: str, tree: ast.Module) -> Broken:
    """Nothing is said while a transaction is open: it may yet be rolled back."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncWith) and any(map(_opens_unit, node.items)):
            for call in (call for line in node.body for call in _calls(line)):
                if isinstance(call.func, ast.Attribute) and call.func.attr.lstrip("_") in _EMITS:
                    yield call.lineno, "something is said inside a unit of work: leave a hint"


def files(_file: str, tree: ast.Module) -> Broken:
    """A file that is written has its mode from the start, not from whatever umask is there."""
    for call in _calls(tree):
        name, modes = _last(call.func), [argument for argument in call.args if isinstance(argument, ast.Constant)]
        if _dotted(call.func) == "os.open":
            if len(call.args) < 3 and "O_CREAT" in ast.unparse(call):
                yield call.lineno, "a file is made without a mode"
        elif name in {"write_text", "write_bytes"}:
            yield call.lineno, "a file is written with the umask's mode: os.open it with one"
        elif name == "open" and _is_file(call.func):
            asked = [*modes, *(word.value for word in call.keywords if word.arg == "mode")]
            opens_itself = any(word.arg == "opener" for word in call.keywords)
            if not opens_itself and any(_writes(mode) for mode in asked):
                yield call.lineno, "a file is written with the umask's mode: os.open it with one"


def logged(_file: str, tree: ast.Module) -> Broken:
    """No log line is given what is named like a secret."""
    for call in _calls(tree):
        if not (isinstance(call.func, ast.Attribute) and call.func.attr in _LOGS):
            continue
        if not re.search(r"(?:^|_)(?:log|logger)$", _last(call.func.value)):
            continue
        said = {"": [name for argument in call.args for name in _names(argument)]}
        said |= {keyword.arg or "": list(_names(keyword.value)) for keyword in call.keywords}
        if any(_SECRET.search(name) for key, names in said.items() if names for name in (key, *names)):
            yield call.lineno, "a secret is logged"


RULES: dict[str, Callable[[str, ast.Module], Broken]] = {
    "route": routes,
    "sql": sql,
    "shell": shell,
    "arguments": arguments,
    "comparison": comparisons,
    "emit": emits,
    "file-mode": files,
    "logged": logged,
}


# ---------------------------------------------------------------- what the rules ask


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _last(node: ast.AST) -> str:
    """The last part of a dotted name; empty for anything else."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def _names(node: ast.AST) -> Iterator[str]:
    """The names whose values ``node`` may show; what a condition asks is not shown."""
    if isinstance(node, ast.IfExp):
        yield from (name for part in (node.body, node.orelse) for name in _names(part))
    elif isinstance(node, ast.Name | ast.Attribute):
        yield _last(node)
    else:
        yield from (name for part in ast.iter_child_nodes(node) for name in _names(part))


def _built(node: ast.AST) -> bool:
    """Whether it is text that is put together here."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        return any(isinstance(part, ast.Constant | ast.JoinedStr | ast.BinOp) for part in (node.left, node.right))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in {"format", "join"} and isinstance(node.func.value, ast.Constant)
    return False


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    named = [*node.args.posonlyargs, *node.args.args]
    yield from zip(reversed(named), [*reversed(node.args.defaults), *[None] * len(named)], strict=False)
    yield from zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)


def _guards(parameter: tuple[ast.arg, ast.expr | None]) -> bool:
    """Whether the parameter is somebody who was let in."""
    argument, default = parameter
    kind = argument.annotation
    if isinstance(kind, ast.Subscript) and _last(kind.value) == "Annotated" and isinstance(kind.slice, ast.Tuple):
        return _last(kind.slice.elts[0]) == "Principal" or any(_last(call.func) == "Depends" for call in _calls(kind))
    return kind is not None and _last(kind) == "Principal" and default is not None


def _is_column(node: ast.AST) -> bool:
    """``Session.token_hash``: a condition of a query."""
    return isinstance(node, ast.Attribute) and _last(node.value)[:1].isupper()


def _opens_unit(item: ast.withitem) -> bool:
    call = item.context_expr
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in _UNITS


def _is_file(function: ast.AST) -> bool:
    """Whether this is the `open` of a path, not of an archive or a link."""
    return isinstance(function, ast.Name) or not re.search(r"archive|zip|tar|link|os$", _dotted(function))


def _writes(mode: ast.AST) -> bool:
    text = mode.value if isinstance(mode, ast.Constant) else ""
    return isinstance(text, str) and bool(re.fullmatch(r"[rwaxbt+]{1,4}", text)) and bool(set(text) & set("wax+"))
