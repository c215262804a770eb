"""The map from agent to connection: what is bound is found, what is closed is forgotten, in whichever order."""

from app.realtime.sessions import AgentSession, Sessions


def connection(sid: str) -> AgentSession:
    return AgentSession(sid=sid, eio_sid=f"eio-{sid}", source_ip="127.0.0.1", boot_id=f"boot-{sid}", public_key="key")


def test_a_connection_that_closes_is_forgotten_by_sid_and_by_device() -> None:
    sessions = Sessions()
    session = connection("one")
    sessions.add(session)
    assert sessions.bind(session, device_id=7, epoch=1) is None
    assert (sessions.by_sid, sessions.by_device) == ({"one": session}, {7: session})
    sessions.remove(session)
    assert (sessions.by_sid, sessions.by_device) == ({}, {})
    assert session.closed
    assert sessions.live_boot(7, connection("two"), "key") is None


def test_an_old_connection_that_closes_leaves_the_new_one_mapped() -> None:
    sessions = Sessions()
    old, new = connection("old"), connection("new")
    for epoch, session in enumerate((old, new), 1):
        sessions.add(session)
        sessions.bind(session, device_id=7, epoch=epoch)
    assert sessions.live_boot(7, old, "key") == "boot-new"
    assert sessions.live_boot(7, old, "another key") is None
    sessions.remove(old)
    assert (sessions.by_sid, sessions.by_device) == ({"new": new}, {7: new})


def test_a_connection_that_waits_for_an_answer_is_forgotten_too() -> None:
    sessions = Sessions()
    session = connection("copy")
    sessions.add(session)
    sessions.hold(session, claim_id=3, device_id=7)
    assert sessions.held_for(7) == [session]
    assert sessions.claim_connected(3)
    sessions.remove(session)
    assert sessions.held_for(7) == []
    assert not sessions.claim_connected(3)
