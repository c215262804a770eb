"""A server, and somebody who may upload."""

import httpx2
import pytest

from app.accounts.permissions import Role
from tests.support.node import RunningNode, Serve
from tests.support.server import Browse, MakePerson, Person


@pytest.fixture
async def node(serve: Serve) -> RunningNode:
    """A server on each kind of database."""
    return await serve()


@pytest.fixture
async def ada(person: MakePerson) -> Person:
    """An operator."""
    return await person(role=Role.OPERATOR)


@pytest.fixture
def client(node: RunningNode, ada: Person, browse: Browse) -> httpx2.AsyncClient:
    """She speaks."""
    return browse(node, ada.bearer)
