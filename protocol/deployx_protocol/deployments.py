"""The life of a deployment and of each of its targets, which server, dashboard and command line share.

A deployment brings a release to devices, wave by wave. What it asks of a device at any time is one task
(``tasks``, ``task_messages.ReleaseOrder``); a target is what the deployment knows of one device.

Invariants: a target has a task that is not over exactly while it is in one of ``IN_FLIGHT``; a deployment starts
something only while it is *running* (installs) or *rolling back* (reverts); what is not in a table does not happen.
"""

from enum import StrEnum
from typing import Final

from deployx_protocol import checks
from deployx_protocol.checks import InvalidPayload
from deployx_protocol.messages import Message
from deployx_protocol.releases import Action, Outcome, Phase


class DeploymentState(StrEnum):
    """The column ``deployments.state``."""

    AWAITING_APPROVAL = "awaiting_approval"  # somebody else has to approve exactly this plan
    REJECTED = "rejected"  # somebody else did not approve it: nothing was started
    RUNNING = "running"  # wave after wave, as its gates and its window let it
    PAUSED = "paused"  # nothing starts; what is in flight ends
    ABORTING = "aborting"  # nothing starts any more; what is in flight ends
    ABORTED = "aborted"  # called off; what had the release by then has it
    ROLLING_BACK = "rolling_back"  # all that have the release go back to what they had before
    ROLLED_BACK = "rolled_back"  # none has it that could be brought back
    SUCCEEDED = "succeeded"  # every device that was not left out has it
    FAILED = "failed"  # over, and some do not have it


OVER: Final = frozenset(
    {
        DeploymentState.REJECTED,
        DeploymentState.ABORTED,
        DeploymentState.ROLLED_BACK,
        DeploymentState.SUCCEEDED,
        DeploymentState.FAILED,
    }
)
"""Nothing happens by itself any more. Some of them can be taken up again by a person (``TRANSITIONS``)."""


class DeploymentEvent(StrEnum):
    """What moves a deployment: the first eight are what people do, the rest follows from its targets."""

    APPROVE = "approve"
    REJECT = "reject"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    ROLL_BACK = "rollback"
    PROMOTE = "promote"  # the next wave opens, whatever its gate says
    RETRY = "retry"  # what failed is tried again
    STOP = "stop"  # too much failed, and the strategy says to pause
    UNDO = "undo"  # too much failed, and the strategy says to roll back
    END = "end"  # nothing is left to do


_S, _E = DeploymentState, DeploymentEvent

TRANSITIONS: Final[dict[tuple[DeploymentState, DeploymentEvent], DeploymentState]] = {
    (_S.AWAITING_APPROVAL, _E.APPROVE): _S.RUNNING,
    (_S.AWAITING_APPROVAL, _E.REJECT): _S.REJECTED,
    (_S.AWAITING_APPROVAL, _E.ABORT): _S.ABORTED,
    (_S.RUNNING, _E.PAUSE): _S.PAUSED,
    (_S.RUNNING, _E.ABORT): _S.ABORTING,
    (_S.RUNNING, _E.ROLL_BACK): _S.ROLLING_BACK,
    (_S.RUNNING, _E.PROMOTE): _S.RUNNING,
    (_S.RUNNING, _E.RETRY): _S.RUNNING,
    (_S.RUNNING, _E.STOP): _S.PAUSED,
    (_S.RUNNING, _E.UNDO): _S.ROLLING_BACK,
    (_S.RUNNING, _E.END): _S.SUCCEEDED,  # or failed: `outcome_of`
    (_S.PAUSED, _E.RESUME): _S.RUNNING,
    (_S.PAUSED, _E.ABORT): _S.ABORTING,
    (_S.PAUSED, _E.ROLL_BACK): _S.ROLLING_BACK,
    (_S.PAUSED, _E.RETRY): _S.RUNNING,
    (_S.ABORTING, _E.ROLL_BACK): _S.ROLLING_BACK,
    (_S.ABORTING, _E.END): _S.ABORTED,
    (_S.ROLLING_BACK, _E.ABORT): _S.ABORTING,
    (_S.ROLLING_BACK, _E.END): _S.ROLLED_BACK,
    (_S.ABORTED, _E.ROLL_BACK): _S.ROLLING_BACK,
    (_S.SUCCEEDED, _E.ROLL_BACK): _S.ROLLING_BACK,
    (_S.FAILED, _E.ROLL_BACK): _S.ROLLING_BACK,
    (_S.FAILED, _E.RETRY): _S.RUNNING,
}
"""State and event → the next state. A running deployment that ends and has failures is *failed* instead."""


class IllegalTransition(ValueError):
    """A deployment, or a target, in this state does not take this event."""

    def __init__(self, state: StrEnum, event: StrEnum) -> None:
        super().__init__(f"What is {state.value} does not take {event.value}.")
        self.state = state
        self.event = event


def advance(state: DeploymentState, event: DeploymentEvent, *, failures: bool = False) -> DeploymentState:
    """The state after ``event``. Raises IllegalTransition."""
    try:
        following = TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(state, event) from None
    return _S.FAILED if following is _S.SUCCEEDED and failures else following


class TargetState(StrEnum):
    """The column ``deployment_targets.state``."""

    PENDING = "pending"  # not started, or to be tried again
    DOWNLOADING = "downloading"  # it has its task; what it needs is fetched
    INSTALLING = "installing"
    VERIFYING = "verifying"  # detect, health, confirmation
    SUCCEEDED = "succeeded"  # the device has the release, and said so after its durable commit
    FAILED = "failed"
    ROLLING_BACK = "rolling_back"  # the device goes back, by itself or because it was told to
    ROLLED_BACK = "rolled_back"  # the device has again what it had before
    SKIPPED = "skipped"  # left out; the reason says why


IN_FLIGHT: Final = frozenset(
    {TargetState.DOWNLOADING, TargetState.INSTALLING, TargetState.VERIFYING, TargetState.ROLLING_BACK}
)
SETTLED: Final = frozenset({TargetState.SUCCEEDED, TargetState.FAILED, TargetState.ROLLED_BACK, TargetState.SKIPPED})


class TargetEvent(StrEnum):
    """What moves a target."""

    START = "start"  # it gets a task that installs
    START_REVERT = "start_revert"  # it gets a task that goes back
    FETCH = "fetch"
    INSTALL = "install"
    VERIFY = "verify"
    REVERT = "revert"  # its agent goes back by itself
    SUCCEED = "succeed"
    FAIL = "fail"
    WENT_BACK = "went_back"
    TRY_AGAIN = "try_again"  # nobody can say what became of its task, or it was not begun
    SKIP = "skip"
    RETRY = "retry"  # a person asks for another try


_T, _V = TargetState, TargetEvent


def _in_flight(state: TargetState) -> dict[tuple[TargetState, TargetEvent], TargetState]:
    following = {
        _V.FETCH: _T.DOWNLOADING,
        _V.INSTALL: _T.INSTALLING,
        _V.VERIFY: _T.VERIFYING,
        _V.REVERT: _T.ROLLING_BACK,
        _V.SUCCEED: _T.SUCCEEDED,
        _V.FAIL: _T.FAILED,
        _V.WENT_BACK: _T.ROLLED_BACK,
        _V.TRY_AGAIN: _T.PENDING,
        _V.SKIP: _T.SKIPPED,
    }
    return {(state, event): after for event, after in following.items()}


TARGET_TRANSITIONS: Final[dict[tuple[TargetState, TargetEvent], TargetState]] = {
    (_T.PENDING, _V.START): _T.DOWNLOADING,
    (_T.PENDING, _V.START_REVERT): _T.ROLLING_BACK,
    (_T.PENDING, _V.FAIL): _T.FAILED,
    (_T.PENDING, _V.SKIP): _T.SKIPPED,
    **_in_flight(_T.DOWNLOADING),
    **_in_flight(_T.INSTALLING),
    **_in_flight(_T.VERIFYING),
    **_in_flight(_T.ROLLING_BACK),
    (_T.SUCCEEDED, _V.START_REVERT): _T.ROLLING_BACK,
    (_T.FAILED, _V.START_REVERT): _T.ROLLING_BACK,
    (_T.FAILED, _V.SUCCEED): _T.SUCCEEDED,  # it was thought lost, and came back with a result
    (_T.FAILED, _V.WENT_BACK): _T.ROLLED_BACK,
    (_T.FAILED, _V.FAIL): _T.FAILED,
    (_T.FAILED, _V.RETRY): _T.PENDING,
    (_T.ROLLED_BACK, _V.RETRY): _T.PENDING,
    (_T.SKIPPED, _V.RETRY): _T.PENDING,
    (_T.SUCCEEDED, _V.FAIL): _T.FAILED,  # it could not be reached to go back
}
"""State and event → the next state of a target."""


def advance_target(state: TargetState, event: TargetEvent) -> TargetState:
    """The state after ``event``. Raises IllegalTransition."""
    try:
        return TARGET_TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(state, event) from None


AT_PHASE: Final[dict[Phase, TargetState]] = {
    Phase.FETCHING: TargetState.DOWNLOADING,
    Phase.INSTALLING: TargetState.INSTALLING,
    Phase.REBOOTING: TargetState.INSTALLING,
    Phase.DETECTING: TargetState.VERIFYING,
    Phase.CHECKING: TargetState.VERIFYING,
    Phase.CONFIRMING: TargetState.VERIFYING,
    Phase.REVERTING: TargetState.ROLLING_BACK,
}
"""Where a target is while its task is at a phase."""


class Offline(StrEnum):
    """What becomes of a target whose device is away when it is its turn."""

    WAIT = "wait"  # it gets the release when it is back
    SKIP = "skip"  # left out after `offline_after_s`
    FAIL = "fail"  # counts as failed after `offline_after_s`


class OnFailure(StrEnum):
    """What a deployment does when more failed than its threshold allows."""

    PAUSE = "pause"  # nothing starts until somebody decides
    ROLL_BACK = "roll_back"  # all that have it go back


class Order(StrEnum):
    """Which devices come first."""

    NAME = "name"  # by their names
    RANDOM = "random"  # by the seed, so that the same seed gives the same order
    TAG = "tag"  # by the value of a tag, then by name; those without it last


class WaveState(StrEnum):
    """What a wave is at."""

    WAITING = "waiting"  # the waves before it are not done
    OPEN = "open"  # its devices are started as there is room
    SOAKING = "soaking"  # its gate is met, and its soak time is not over
    HELD = "held"  # its gate is met, and nothing follows: the deployment is paused, or ends
    FAILED = "failed"  # more of it failed than may: nothing follows it until somebody decides
    DONE = "done"  # the next one may open


# ---------------------------------------------------------------- server → dashboard, and REST


class WindowView(Message, frozen=True, kw_only=True):
    """When a deployment may start something."""

    days: list[str]
    """`mon` to `sun`."""
    begin: str
    """`HH:MM`, in `zone`."""
    end: str
    """`HH:MM`; before `begin`: on the next day."""
    zone: str


class StrategyView(Message, frozen=True, kw_only=True):
    """How a deployment goes from device to device."""

    waves: list[str]
    """How many devices have had their turn after each wave, as a count or a percentage: `1`, `10%`, `100%`."""
    max_parallel: int | None
    """How many devices are in flight at once; null: as many as the wave has."""
    failure_threshold: str
    """How many may fail: a count of all devices, or a percentage of each wave."""
    soak_s: float
    """How long a wave's gate has to be met before the next wave opens."""
    healthy_percent: float | None
    """How many devices of a wave have to have the release before the next wave opens; null: all of them are over."""
    window: WindowView | None
    order: Order
    order_seed: int
    order_tag: str
    deadline_s: float | None
    """After so long nothing is started any more."""
    offline: Offline
    offline_after_s: float
    on_failure: OnFailure
    attempts: int
    """How many tasks a device gets while nobody can say what became of the one before."""


class GateView(Message, frozen=True, kw_only=True):
    """What has to be true before the next wave opens."""

    met: bool
    condition: str
    """What it asks, as people read it."""
    current: str
    """What is so now, such as `7 of 10 healthy`."""
    sentence: str
    """Both in one sentence, with what happens next."""


class WaveView(Message, frozen=True, kw_only=True):
    """One wave of a deployment."""

    number: int
    """From 1."""
    label: str
    """As the strategy has it."""
    state: WaveState
    total: int
    counts: dict[str, int]
    """Target state → how many devices of the wave are in it; states without any are left out."""
    gate: GateView
    opened_at: str | None
    met_at: str | None
    """Since when its gate is met."""
    soak_until: str | None
    promoted_by: str
    """Who opened the next wave early; empty if nobody did."""


class ApprovalView(Message, frozen=True, kw_only=True):
    """Whether somebody else has to say yes, and who did."""

    required: bool
    above: int
    """The server's setting: deployments to more devices than this; 0: never."""
    decided: str
    """`approved`, `rejected` or empty."""
    by: str
    """An e-mail address."""
    at: str | None
    note: str


class DeploymentView(Message, frozen=True, kw_only=True):
    """A deployment: a release, the devices that get it, and how far it is."""

    id: str
    title: str
    """The release's name and version."""
    release_name: str
    release_version: str
    release_number: int
    release_sha256: str
    """Of the release's payload."""
    state: DeploymentState
    reason: str
    """Why it is in this state, as people read it."""
    next_event: str
    """What happens next and when; empty when it is over."""
    selector: str | None
    """What chose the devices; null when they were picked one by one."""
    following: bool
    """Devices that meet the selector later get the release as well."""
    strategy: StrategyView
    plan_hash: str
    """SHA-256 of what is to happen: the release, the devices and the strategy."""
    approval: ApprovalView
    user_id: int | None
    created_by: str
    created_at: str
    started_at: str | None
    finished_at: str | None
    deadline_at: str | None
    total: int
    counts: dict[str, int]
    """Target state → how many devices are in it; states without any are left out."""
    attention: int
    """Devices that somebody has to look at: they could not go back."""
    wave: int
    """The last wave that is open; 0 before the first."""
    waves: list[WaveView]
    pace_per_hour: float | None
    """How many devices were done in an hour, as it went of late; null while that cannot be said."""
    estimate_at: str | None
    """When the last device would be done at that pace."""
    actions: list[str]
    """What can be done with it now: `pause`, `resume`, `abort`, `rollback`, `promote`, `retry`, `approve`, `reject`."""
    run_id: str | None
    """The run that its installs are tasks of; null before the first."""
    revert_run_id: str | None
    rev: int


class DeploymentTargetView(Message, frozen=True, kw_only=True):
    """A device of a deployment."""

    id: str
    deployment_id: str
    device_id: int | None
    """null when the device was deleted since."""
    device_name: str
    wave: int
    position: int
    """Its place in the whole deployment, from 1."""
    state: TargetState
    reason: str
    """Why it is in this state, as people read it."""
    next_event: str
    """What happens next; empty when it is settled."""
    code: str
    action: Action
    """Of its last task: `install` or `revert`."""
    task_id: str | None
    """Its last task; its output is read by the routes of tasks."""
    attempt: int
    """How many tasks it got, for this action."""
    phase: Phase | None
    percent: int | None
    outcome: Outcome
    attention: bool
    """Somebody has to look at it: it could not go back."""
    started_at: str | None
    finished_at: str | None
    updated_at: str
    rev: int


class DecisionView(Message, frozen=True, kw_only=True):
    """An entry of a deployment's log: what was decided, by whom and why."""

    id: int
    at: str
    actor: str
    """An e-mail address; empty: the server by itself."""
    kind: str
    """`created`, `approved`, `rejected`, `wave_opened`, `gate_met`, `gate_lost`, `paused`, `resumed`, `aborted`,
    `rolling_back`, `promoted`, `retried`, `joined`, `skipped`, `ended`."""
    text: str
    """A sentence."""
    wave: int | None


class DeviceDeploymentView(Message, frozen=True, kw_only=True):
    """What a deployment did on one device, for the device's history."""

    deployment: str
    """Its id."""
    title: str
    release_name: str
    release_version: str
    deployment_state: DeploymentState
    created_by: str
    created_at: str
    readable: bool
    """Whether the deployment itself is yours to see."""
    target: DeploymentTargetView


class DeploymentsChanged(Message, frozen=True, kw_only=True):
    """`deployments_changed`: deployments that are new or changed in one tick; the greater `rev` is true."""

    deployments: list[DeploymentView]


class DeploymentTargetsChanged(Message, frozen=True, kw_only=True):
    """`deployment_targets_changed`: targets of a deployment that this dashboard watches."""

    deployment_id: str
    targets: list[DeploymentTargetView]


class WatchDeployment(Message, frozen=True, kw_only=True):
    """`watch_deployment` and `unwatch_deployment`: from now on, or no longer, tell of this deployment's targets."""

    deployment_id: str

    def __post_init__(self) -> None:
        if not checks.is_uuid(self.deployment_id):
            raise InvalidPayload("The id of a deployment is not a UUID in lower case.")
