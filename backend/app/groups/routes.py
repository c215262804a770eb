"""The routes about groups, their members, and selectors. Each parses, calls one service, and serialises."""

from typing import Annotated

from fastapi import Depends, Path, Query

from app.accounts.auth import Auth
from app.accounts.permissions import Permission
from app.accounts.principal import Principal
from app.groups.schemas import (
    AccessView,
    GroupChange,
    GroupDetail,
    GroupInput,
    GroupList,
    GroupView,
    MemberInput,
    MemberList,
    MemberView,
    SelectorCheck,
    SelectorWords,
    SharedGroup,
    SharedGroupList,
)
from app.groups.selectors import TEXT_MAX
from app.groups.service import Change, GroupService
from app.groups.sharing import SharingService
from app.routing import Router, joined

GroupId = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]*$")]


UserId = Annotated[int, Path(ge=1, le=2**31 - 1)]
DeviceId = Annotated[int, Path(ge=1, le=2**31 - 1)]


def router(auth: Auth, service: GroupService, sharing: SharingService) -> Router:
    """All of them, under ``/api/v1``."""
    return joined(_group_routes(auth, service), _sharing_routes(auth, sharing))


def _group_routes(auth: Auth, service: GroupService) -> Router:
    routes = Router(prefix="/api/v1", tags=["groups"])
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


def _sharing_routes(auth: Auth, service: SharingService) -> Router:
    routes = Router(prefix="/api/v1", tags=["sharing"])
    owner = Depends(auth.requires(Permission.GROUPS_OWN))
    sharer = Depends(auth.requires(Permission.GROUPS_SHARE))
    reader = Depends(auth.requires(Permission.DEVICES_READ))

    @routes.get("/groups/{group_id}/members", summary="With whom a group is shared")
    async def list_members(*, principal: Principal = owner, group_id: GroupId) -> MemberList:
        return MemberList(items=[MemberView.model_validate(one) for one in await service.members(principal, group_id)])

    @routes.put(
        "/groups/{group_id}/members",
        summary="Share a group with somebody, or give a member another role",
        description="They see those devices of the group that belong to its owner, from now on. An operator may also "
        "run commands on them, if their account may. Administrators share anyone's groups.",
    )
    async def put_member(*, principal: Principal = sharer, group_id: GroupId, body: MemberInput) -> MemberView:
        return MemberView.model_validate(await service.put(principal, group_id, body.email, body.role))

    @routes.delete(
        "/groups/{group_id}/members/{user_id}", summary="Share a group no longer with somebody", status_code=204
    )
    async def remove_member(*, principal: Principal = sharer, group_id: GroupId, user_id: UserId) -> None:
        await service.remove(principal, group_id, user_id)

    @routes.get("/shares", summary="Groups of others that are shared with you")
    async def list_shares(*, principal: Principal = reader) -> SharedGroupList:
        return SharedGroupList(items=[SharedGroup.model_validate(one) for one in await service.shared_with(principal)])

    @routes.delete("/shares/{group_id}", summary="Leave a group that is shared with you", status_code=204)
    async def leave_group(*, principal: Principal = sharer, group_id: GroupId) -> None:
        await service.leave(principal, group_id)

    @routes.get("/devices/{device_id}/access", summary="Why you see a device, what you may do, and who else sees it")
    async def read_access(*, principal: Principal = reader, device_id: DeviceId) -> AccessView:
        return AccessView.model_validate(await service.access(principal, device_id))

    return routes


def _change(body: GroupInput | GroupChange) -> Change:
    return Change(name=body.name, selector=body.selector, device_ids=body.device_ids)
