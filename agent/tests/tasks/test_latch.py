"""The shell behind the latch: whatever line it does, nothing differs from a shell that is given the line with `-c`."""

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployx_agent.tasks import command
from deployx_agent.tasks.command import SHELL, Command
from deployx_agent.tasks.latch import does_lines
from deployx_agent.tasks.processes import LEADER_VARIABLE, TASK_VARIABLE
from deployx_agent.tasks.spare import Spare
from deployx_protocol.task_messages import STDERR, STDOUT

pytestmark = pytest.mark.skipif(not does_lines(), reason="the shell of this machine does no line for a task")

TASK_ID = "0190b7a2-1111-7000-8000-000000000001"
PATIENCE_S = 20
LINES = """
echo hi
echo "hi
echo 'hi
echo hi # a remark
# only a remark
echo hi;
echo \\$HOME ~ * "$@" $# $0 $-
echo `echo a` $(echo b) ${x:-y}
echo ${x?bad}
echo $((1 / 0))
echo $LINENO
if true; then echo x; fi
! true
{ echo a; }
(echo x; exit 4)
for i in 1 2; do echo $i; done
case x in x) echo x;; esac
f() { echo z; }; f
while read x; do echo $x; done
r
d
r 1 true
d 1 true
DEPLOYX_LATCH
echo "$DEPLOYX_LATCH"
command -v r d
readonly DEPLOYX_LATCH; echo x
A=1 env | grep ^A
env | grep -c -e ^DEPLOYX_TASK_ID -e ^DEPLOYX_TASK_LEADER
set | grep -v -e PPID -e _LEADER
export -p | grep -v _LEADER
readonly q=1; q=2
trap 'echo bye' EXIT; true
trap '' TERM; kill $$; echo alive
set -e; false; echo no
set -u; echo $zz
set -x; echo q
set -v; echo q
set -n; echo q
exec echo hi
exec no-such-thing
command exec no-such-thing; echo no
exit 5
exit
return 3
break
shift
local x
wait 99999
jobs
fg
times > /dev/null
hash
getopts a x
umask; ulimit -n
ls /proc/self/fd
read x; echo $? $x
cat
cat <<X
kill -9 $$
kill -TERM $$
kill -INT $$
sh -c 'kill -9 $$'
sh -c 'kill -SEGV $$'; echo $?
sleep 0.05 &
sleep 0.01 & wait; echo $?
no-such-thing
./no-such-thing
/tmp
echo a; no-such-thing b
no-such-thing 2>/dev/null
$(exit 3)
`no-such-thing`
. /no-such-thing
eval "echo q; no-such-thing"
cd /no-such-thing
cd /; pwd
exec 3</etc/passwd; read a <&3; echo $a
exec >/dev/null; echo x
echo x >&2; echo y
>&- echo x
echo a >/no/such/thing
<no-such-thing cat
[ 1 -eq
printf '%s\\n' a b
alias ll='echo l'; ll
unalias -a; echo x
time=1; echo $time
set -- a b; echo $1 $#
if
fi
then
)
(
}
{ echo a
f() {
;;
;
&
!
&& x
echo a &&
|| true
echo a |
x=$(
$
${
$((
$((1+))
"
'
""".strip("\n").split("\n")
WORDS = """
echo hi no-such-thing true false exit exit_3 set_-e set_-u read cat exec trap eval unset a=1 $a ${a if then fi
for_i_in_a_b; do done case_x_in x) esac ; ;; | || && ! ( ) { } < > /dev/null $( $? ` " ' \\ # - _
""".strip().split()
RANDOM_LINES = st.builds(str.join, st.sampled_from(["", "_"]), st.lists(st.sampled_from(WORDS), min_size=1, max_size=9))


def by_itself(line: str) -> bool:
    """Whether the shell that waits does it."""
    return not line.startswith("-") and not line.endswith("\\")


class Done(NamedTuple):
    """How a shell ended, and what was printed."""

    status: int
    stdout: bytes
    stderr: bytes


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a line writes is not written among the files of whoever tests."""
    own = {**command._own_base(), "HOME": str(tmp_path)}
    monkeypatch.setattr(command, "_own_base", lambda: own)


def wanted(*argv: str) -> Command:
    """A task that asks for nothing of its own."""
    plain = command.plain("/owner")
    return Command(list(argv), plain.cwd, {**plain.env, TASK_VARIABLE: TASK_ID})


def by_the_latch(line: str) -> Done:
    """In the shell that waits."""
    spare = Spare("/owner")
    spare.make()
    child = spare.take(wanted(SHELL, "-c", line))
    assert child, "it is for this shell"
    child.let_go()
    child.let_pipes_end()
    printed = {}
    for descriptor, stream in child.pipes.items():
        os.set_blocking(descriptor, True)
        with os.fdopen(descriptor, "rb") as pipe:
            printed[stream] = pipe.read()
    said = printed[STDERR].replace(f"{SHELL}: 2: ".encode(), f"{SHELL}: 1: ".encode())
    return Done(child.reap(), printed[STDOUT], said)


def by_a_shell(line: str) -> Done:
    """In one that was started for it."""
    task = wanted(SHELL, "-c", line)
    done = subprocess.run(
        task.argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
        cwd=task.cwd,
        env={**task.env, LEADER_VARIABLE: "0@/owner"},
        start_new_session=True,
        umask=0o022,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("line", LINES)
def test_a_line_ends_as_in_a_shell_of_its_own(line: str) -> None:
    assert by_the_latch(line) == by_a_shell(line)


@given(line=RANDOM_LINES.map(lambda line: line.replace("_", " ")).filter(by_itself))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_line_does(line: str) -> None:
    latch, shell = by_the_latch(line), by_a_shell(line)
    assert (latch.status, latch.stdout) == (shell.status, shell.stdout)
    assert sorted(latch.stderr) == sorted(shell.stderr), "in a pipe two may complain at the same time"


@pytest.mark.parametrize(
    "argv", [(SHELL, "-c", "-x"), (SHELL, "-c", "echo \\"), (SHELL, "-c", "echo $1", "sh", "a"), (SHELL, "-e", "exit")]
)
def test_what_is_no_line_is_a_program(argv: tuple[str, ...]) -> None:
    spare = Spare("/owner")
    spare.make()
    child = spare.take(wanted(*argv))
    assert child
    assert child._line.startswith(f"r {TASK_ID} '{SHELL}' '-".encode())
    child.let_go()
    child.let_pipes_end()
    child.reap()
