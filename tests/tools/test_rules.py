"""Our own rules about dangerous code: each finds what is planted, and leaves alone what is as it should be."""

from pathlib import Path

import pytest

from checking import code_rules, page_rules, rules
from checking.rules import Exempt

PYTHON = "backend/app/planted.py"
PAGE = "frontend/src/planted.jsx"
BROKEN = {
    "route": [
        '@routes.get("/all")\nasync def everything() -> None: ...',
        '@routes.post("")\nasync def make(body: Input, who: Principal) -> None: ...',
        '@app.api_route("/x", methods=["GET"])\ndef show(size: Annotated[int, Query(ge=1)]) -> None: ...',
    ],
    "sql": [
        'await session.execute(f"DELETE FROM devices WHERE id = {device_id}")',
        "query = sa.text(\"SELECT * FROM users WHERE email = '%s'\" % email)",
        'connection.exec_driver_sql("SELECT " + column)',
        'database.execute("SELECT {} FROM tasks".format(column))',
        'await session.scalars(sa.text(", ".join(columns)))',
    ],
    "shell": [
        "subprocess.run(command, shell=True)",
        "subprocess.Popen(command, shell=wanted)",
        "await asyncio.create_subprocess_shell(command)",
        'os.system("true")',
        "asyncio.create_subprocess_exec(program, shell=True)",
    ],
    "arguments": [
        'subprocess.run("ls /", check=True)',
        'subprocess.Popen(f"ls {folder}")',
        'subprocess.check_output("ls " + folder)',
    ],
    "comparison": [
        "if given == expected_token: ...",
        "ok = row.secret != sent",
        "ok = request.password == settings.password",
        "ok = signature == computed",
    ],
    "emit": [
        "async with self._uow.begin() as unit:\n    await server.emit(event, row)",
        "async with db.write() as session:\n    if row:\n        await self._server.tell(sid, event, row)",
        "async with uow.begin() as unit, other():\n    bus.publish([hint])",
    ],
    "file-mode": [
        "(folder / 'key').write_bytes(key)",
        "path.write_text(secret)",
        "with path.open('wb') as file: ...",
        "with open(path, 'a') as file: ...",
        "with open(path, mode='x') as file: ...",
        "descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)",
    ],
    "logged": [
        'log.info("user.signed_in", cookie=value)',
        'log.info(f"token {api_token}")',
        'self._log.warning("refused", sent=body.password)',
        "log.bind(secret=secret)",
    ],
}
RIGHT = {
    "route": [
        '@routes.get("/all")\nasync def everything(*, principal: Principal = reader) -> None: ...',
        '@routes.get("/own")\nasync def own(principal: Annotated[Principal, owner]) -> None: ...',
        '@routes.post("/x")\nasync def take(device_id: Annotated[int, Depends(access)]) -> None: ...',
        '@routes.get("/metrics", dependencies=[Depends(auth.requires(x))])\nasync def metrics() -> None: ...',
        "@functools.cache\ndef found() -> None: ...",
    ],
    "sql": [
        'await session.execute(sa.text("SELECT 1"))',
        "await session.execute(sa.select(Device).where(Device.id == device_id))",
        'database.execute("SELECT x FROM tasks WHERE id = ?", (task_id,))',
        'runner.execute("a" "b")',
        'safe.text(", ".join(names))',
    ],
    "shell": ["subprocess.run(command, shell=False)", "Work(shell=True)", "asyncio.create_subprocess_exec(*command)"],
    "arguments": ['subprocess.run(["ls", folder])', "subprocess.run(command)", 'runner.run("ls")'],
    "comparison": [
        "query.where(Session.token_hash == hashed, ApiToken.token == hashed)",
        'if token == "-": ...',
        "if token == _STDIN: ...",
        "ok = hmac.compare_digest(token, expected)",
        "ok = token is None",
        "ok = token_id == other.token_id",
    ],
    "emit": [
        "async with self._uow.begin() as unit:\n    unit.hint(kind)\nawait server.emit(event, row)",
        "async with lock:\n    await server.emit(event, row)",
    ],
    "file-mode": [
        "descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)",
        "with path.open() as file: ...",
        "with path.open('rb') as file: ...",
        "with os.fdopen(descriptor, 'wb') as file: ...",
        "with open(path, 'wb', opener=private) as file: ...",
        "with archive.open(name, 'w') as lines: ...",
    ],
    "logged": [
        'log.info("user.password_reset", user_id=user.id)',
        'log.info("registering", token="presented" if message.token else None)',
        'log.info("token.deleted", token_id=token_id)',
        "print(token)",
    ],
}
MARKUP = [
    "<p dangerouslySetInnerHTML={{ __html: name }} />",
    "node.innerHTML = name;",
    "node.outerHTML += name;",
    'node.insertAdjacentHTML("beforeend", name);',
    "document.write(name);",
    "<iframe srcDoc={name} />",
    "eval(name);",
    "const run = new Function(name);",
    'setTimeout("go()", 10);',
    '<a href="javascript:go()">go</a>',
]
NO_MARKUP = [
    "<p>{name}</p>",
    "if (node.innerHTML === name) return;",
    "retrieval(name); api.eval(name);",
    "setTimeout(go, 10)",
]


def planted(root: Path, file: str, code: str) -> Path:
    """``code`` as a file of a checkout that has nothing else."""
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{code}\n")
    return root


def broken(root: Path) -> set[str]:
    """The rules that something breaks."""
    return {finding.rule for finding in rules.findings(root)}


def test_every_rule_is_tried_here() -> None:
    assert set(BROKEN) == set(RIGHT) == set(code_rules.RULES)
    assert set(page_rules.RULES) == {"markup"}


@pytest.mark.parametrize(("rule", "code"), [(rule, code) for rule, codes in BROKEN.items() for code in codes])
def test_what_a_rule_forbids_is_found(rule: str, code: str, tmp_path: Path) -> None:
    assert broken(planted(tmp_path, PYTHON, code)) == {rule}


@pytest.mark.parametrize(("rule", "code"), [(rule, code) for rule, codes in RIGHT.items() for code in codes])
def test_what_is_as_it_should_be_is_left_alone(rule: str, code: str, tmp_path: Path) -> None:
    assert rule not in broken(planted(tmp_path, PYTHON, code))


@pytest.mark.parametrize("code", MARKUP)
def test_markup_of_text_is_found(code: str, tmp_path: Path) -> None:
    assert broken(planted(tmp_path, PAGE, code)) == {"markup"}


@pytest.mark.parametrize("code", NO_MARKUP)
def test_what_react_shows_is_left_alone(code: str, tmp_path: Path) -> None:
    assert broken(planted(tmp_path, PAGE, code)) == set()


def test_tests_of_the_dashboard_may_read_and_write_what_they_like(tmp_path: Path) -> None:
    assert broken(planted(tmp_path, "frontend/src/planted.test.jsx", MARKUP[1])) == set()


def test_an_exception_is_for_its_line_and_has_to_be_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = planted(tmp_path, PYTHON, "path.write_text(public)\npath.write_text(secret)")
    exempt = Exempt(PYTHON, "file-mode", "write_text(public)", "everyone may read it")
    [wrong] = rules.complaints(root, [exempt])
    assert wrong.startswith(f"{PYTHON}:2: a file is written with the umask's mode")
    wrong, unused = rules.complaints(root, [exempt, Exempt(PYTHON, "sql", "execute", "nothing")])
    assert unused == f"{PYTHON}: nothing breaks the rule sql at “execute”."
    assert rules.main(root) == 1
    assert f"{PYTHON}:2" in capsys.readouterr().out
