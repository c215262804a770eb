"""The state table against the specification's diagram: the whole product of states and events."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployx_agent.connection.machine import TRANSITIONS, Event, IllegalTransition, State, advance, allows

# The diagram "Agent States": the arrows down the left, and those into Retrying; then the flow charts' retry loops.
DOWN = [
    (State.START, State.CONNECTING),
    (State.CONNECTING, State.CONNECTED),
    (State.CONNECTED, State.REGISTERING),
    (State.REGISTERING, State.READY),
    (State.READY, State.ACTIVE),
]
INTO_RETRYING = {State.CONNECTING, State.CONNECTED, State.REGISTERING, State.READY, State.ACTIVE}
OUT_OF_RETRYING = {State.CONNECTING, State.STOPPED}
AGAIN = {(State.REGISTERING, State.REGISTERING), (State.READY, State.REGISTERING), (State.ACTIVE, State.REGISTERING)}


def arrows() -> set[tuple[State, State]]:
    return {(state, target) for (state, _event), target in TRANSITIONS.items()}


def test_arrows_are_exactly_the_diagrams() -> None:
    to_stopped = {(state, State.STOPPED) for state in State if state is not State.STOPPED}
    assert arrows() == (
        set(DOWN)
        | {(state, State.RETRYING) for state in INTO_RETRYING}
        | {(State.RETRYING, state) for state in OUT_OF_RETRYING}
        | AGAIN
        | to_stopped
    )


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_pair_is_in_the_table_or_refused(state: State, event: Event) -> None:
    if (state, event) in TRANSITIONS:
        assert allows(state, event)
        assert advance(state, event) is TRANSITIONS[state, event]
    else:
        assert not allows(state, event)
        with pytest.raises(IllegalTransition):
            advance(state, event)


def test_the_labelled_arrows() -> None:
    assert advance(State.CONNECTED, Event.SOCKET_ERROR) is State.RETRYING
    assert advance(State.READY, Event.DISCONNECTED) is State.RETRYING
    assert advance(State.ACTIVE, Event.DISCONNECTED) is State.RETRYING
    assert advance(State.RETRYING, Event.RETRY_DUE) is State.CONNECTING
    assert advance(State.RETRYING, Event.ATTEMPTS_SPENT) is State.STOPPED


def test_every_running_state_can_be_stopped_and_nothing_leaves_stopped() -> None:
    for state in State:
        assert allows(state, Event.STOP_REQUESTED) == (state is not State.STOPPED)
    assert not any(state is State.STOPPED for state, _event in TRANSITIONS)


@given(st.lists(st.sampled_from(Event)))
def test_ready_is_only_reached_through_registering(sequence: list[Event]) -> None:
    state, before = State.START, State.START
    for event in sequence:
        if allows(state, event):
            before, state = state, advance(state, event)
            if state is State.READY:
                assert before is State.REGISTERING
            if state is State.ACTIVE:
                assert before is State.READY
