"""The routes about groups and selectors. Each parses, calls one service, and serialises."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from app.accounts.auth import Auth
from app.accounts.permissions import Permission
from app.accounts.principal import Principal
from app.groups.schemas import GroupChange, GroupDetail, GroupInput, GroupList, GroupView, SelectorCheck, SelectorWords
from app.groups.selectors import TEXT_MAX
from app.groups.service import Change, GroupService

GroupId = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]*$")]


def router(auth: Auth, service: GroupService) -> APIRouter:
    """All of them, under ``/api/v1``."""
    routes = APIRouter(prefix="/api/v1", tags=["groups"])
    owner = Depends(auth.requires(Permission.GROUPS_OWN))
    reader = Depends(auth.requires(Permission.DEVICES_READ))

    @routes.get("/groups", summary="Your groups")
    async def list_groups(*, principal: Principal = owner) -> GroupList:
        return GroupList(items=[GroupView.model_validate(found) for found in await service.all(principal)])

    @routes.post("/groups", summary="Make a group of a selector, or of devices", status_code=201)
    async def create_group(*, principal: Principal = owner, body: GroupInput) -> GroupDetail:
        return GroupDetail.model_validate(await service.create(principal, _change(body)))

    @routes.get("/groups/{group_id}", summary="One group")
    async def read_group(*, principal: Principal = owner, group_id: GroupId) -> GroupDetail:
        return GroupDetail.model_validate(await service.get(principal, group_id))

    @routes.patch("/groups/{group_id}", summary="Rename a group, or change what is in it")
    async def change_group(*, principal: Principal = owner, group_id: GroupId, body: GroupChange) -> GroupDetail:
        return GroupDetail.model_validate(await service.change(principal, group_id, _change(body)))

    @routes.delete("/groups/{group_id}", summary="Forget a group; its devices stay", status_code=204)
    async def delete_group(*, principal: Principal = owner, group_id: GroupId) -> None:
        await service.delete(principal, group_id)

    @routes.get("/selectors/check", summary="What a selector reaches now, or what is wrong with it")
    async def check_selector(
        *, principal: Principal = reader, selector: Annotated[str, Query(max_length=TEXT_MAX)]
    ) -> SelectorCheck:
        return SelectorCheck.model_validate(await service.check(principal, selector))

    @routes.get("/selectors/words", summary="The keys of selectors, and what your devices have for each")
    async def list_words(*, principal: Principal = reader) -> SelectorWords:
        return SelectorWords(values=await service.words(principal))

    return routes


def _change(body: GroupInput | GroupChange) -> Change:
    return Change(name=body.name, selector=body.selector, device_ids=body.device_ids)
