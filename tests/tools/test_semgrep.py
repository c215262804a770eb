"""Each rule of semgrep.yml finds the line that is planted for it, and passes over what only looks like it."""

import json
import re
import subprocess
from pathlib import Path

from checking import semgrep

DANGEROUS = {
    "request-reaches-sql": (
        "async def f(request):\n    name = request.query_params['n']\n    s.execute(sa.text('x = ' + name))\n"
    ),
    "request-reaches-files-or-programs": (
        "async def f(request):\n    name = (await request.json())['n']\n    return open('/srv/' + name)\n"
    ),
    "secret-reaches-log": "token = 'dxp_' + secrets.token_urlsafe()\nlog.info('made', value=token)\n",
    "code-from-data": "x = pickle.loads(data)\n",
    "certificate-not-checked": "context.check_hostname = False\n",
    "guessable-secret": "token = f'dxp_{random.random()}'\n",
    "broken-hash": "x = hashlib.sha1(data)\n",
    "temporary-name": "x = tempfile.mktemp()\n",
    "text-becomes-markup": "const a = <b dangerouslySetInnerHTML={{ __html: x }} />;\n",
    "secret-kept-in-the-browser": "localStorage.setItem('a', newToken);\n",
    "window-that-knows-its-opener": "window.open(url);\n",
}
HARMLESS = {
    "a.py": (
        "async def f(request):\n    name = request.query_params['n']\n    s.execute(sa.text('x = :n'), {'n': name})\n"
        "token = secrets.token_urlsafe()\nlog.info('made', value=hashlib.sha256(token.encode()).hexdigest())\n"
        "x = hashlib.sha1(data, usedforsecurity=False)\ndelay = random.random()\ncontext.check_hostname = True\n"
    ),
    "b.jsx": "const a = <b>{x}</b>;\nlocalStorage.setItem('theme', theme);\nwindow.open(url, '_blank', 'noopener');\n",
}


def test_every_rule_finds_what_it_is_for_and_nothing_else(tmp_path: Path) -> None:
    for rule, source in DANGEROUS.items():
        ending = "jsx" if source.startswith(("const", "localStorage", "window")) else "py"
        (tmp_path / f"{rule}.{ending}").write_text(source)
    for name, source in HARMLESS.items():
        (tmp_path / name).write_text(source)
    step = semgrep.step([tmp_path], "--json")
    done = subprocess.run(step.command, env=step.env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stderr
    found = {(Path(one["path"]).stem, one["check_id"].rpartition(".")[2]) for one in json.loads(done.stdout)["results"]}
    assert found == {(rule, rule) for rule in DANGEROUS}
    assert set(re.findall(r"^  - id: (\S+)$", semgrep.RULES.read_text(), re.MULTILINE)) == set(DANGEROUS)
