"""The routes about saved commands."""

from typing import Annotated

from fastapi import Depends, Path

from app.accounts.auth import Auth
from app.accounts.permissions import Permission
from app.accounts.principal import Principal
from app.routing import Router
from app.tasks.saved import SavedCommands
from app.tasks.schemas import SavedCommandInput, SavedCommandList, SavedCommandView

SavedId = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]*$")]


def router(auth: Auth, service: SavedCommands) -> Router:
    """All of them."""
    routes = Router(prefix="/api/v1/saved-commands", tags=["saved commands"])
    reader = Depends(auth.requires(Permission.RUNS_READ))
    writer = Depends(auth.requires(Permission.RUNS_WRITE))

    @routes.get("", summary="Your saved commands")
    async def list_saved_commands(*, principal: Principal = reader) -> SavedCommandList:
        return SavedCommandList(items=await service.all(principal))

    @routes.post("", summary="Save a command", status_code=201)
    async def save_command(*, principal: Principal = writer, body: SavedCommandInput) -> SavedCommandView:
        return await service.save(principal, body.name, body.request)

    @routes.get("/{saved_id}", summary="One saved command")
    async def read_saved_command(*, principal: Principal = reader, saved_id: SavedId) -> SavedCommandView:
        return await service.get(principal, saved_id)

    @routes.delete("/{saved_id}", summary="Delete a saved command", status_code=204)
    async def delete_saved_command(*, principal: Principal = writer, saved_id: SavedId) -> None:
        await service.delete(principal, saved_id)

    return routes
