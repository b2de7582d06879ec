"""REST of workspaces, their members and invitations: parse → access → one action → answer."""

from typing import Any, cast

from rest_framework import serializers, status
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import actions, workspaces
from accounts.auth import refuse_unless_fresh
from accounts.errors import RoleTooLow
from accounts.idempotency import once
from accounts.models import Invitation, Membership, User, Workspace
from accounts.roles import Permission, Role, Scope

ROLES = [role.value for role in Role]


class WorkspaceShape(serializers.Serializer[Any]):
    slug = serializers.CharField(help_text="What it is called in addresses; it never changes.")
    name = serializers.CharField()
    role = serializers.ChoiceField(
        choices=ROLES, allow_null=True, help_text="Yours; null for an administrator who is not in."
    )
    created_at = serializers.DateTimeField()


class WorkspaceRequest(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=actions.MAX_NAME)


class MemberShape(serializers.Serializer[Any]):
    id = serializers.IntegerField(source="pk")
    email = serializers.EmailField(source="user.email")
    role = serializers.ChoiceField(choices=ROLES)
    joined_at = serializers.DateTimeField()


class RoleRequest(serializers.Serializer[Any]):
    role = serializers.ChoiceField(choices=ROLES)


class InvitationShape(serializers.Serializer[Any]):
    id = serializers.IntegerField(source="pk")
    email = serializers.EmailField()
    role = serializers.ChoiceField(choices=ROLES)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    mailed_at = serializers.DateTimeField(
        allow_null=True, help_text="Null while the mail is under way, or was not taken."
    )


class InvitationRequest(serializers.Serializer[Any]):
    email = serializers.EmailField(max_length=254)
    role = serializers.ChoiceField(choices=ROLES, default=Role.CREATOR.value)


class TransferRequest(serializers.Serializer[Any]):
    member = serializers.IntegerField(min_value=1, max_value=2**63 - 1, help_text="Its id.")


def _caller(request: Request) -> User:
    return cast(User, request.user)


def _shape(user: User, workspace: Workspace) -> dict[str, Any]:
    told = {
        "slug": workspace.slug,
        "name": workspace.name,
        "role": user.memberships.get(workspace.pk),
        "created_at": workspace.created_at,
    }
    return cast(dict[str, Any], WorkspaceShape(told).data)


class WorkspaceView(APIView):
    """To look needs jobs:read. To change anything needs admin: a lost token must not lose more."""

    @property
    def needs(self) -> Scope:
        return Scope.JOBS_READ if self.request.method in SAFE_METHODS else Scope.ADMIN


class WorkspaceList(WorkspaceView):
    def get(self, request: Request) -> Response:
        """The caller's; at most 20."""
        user = _caller(request)
        return Response({"results": [_shape(user, each) for each in workspaces.of(user)]})

    def post(self, request: Request) -> Response:
        """201: one more, which the caller owns."""
        asked = WorkspaceRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        user = _caller(request)

        def create() -> Response:
            made = actions.create_workspace(user, asked.validated_data["name"])
            return Response(_shape(user, made), status=status.HTTP_201_CREATED)

        return once(request, create)


class WorkspaceDetail(WorkspaceView):
    def get(self, request: Request, slug: str) -> Response:
        user = _caller(request)
        return Response(_shape(user, workspaces.opened(user, slug)))

    def patch(self, request: Request, slug: str) -> Response:
        user = _caller(request)
        workspace = workspaces.opened(user, slug)
        asked = WorkspaceRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        name = asked.validated_data["name"]
        return Response(
            _shape(user, actions.rename_workspace(user, workspace=workspace.pk, name=name))
        )

    def delete(self, request: Request, slug: str) -> Response:
        """204. One without videos alone."""
        refuse_unless_fresh(request)
        user = _caller(request)
        actions.delete_workspace(user, workspace=workspaces.opened(user, slug).pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


class MemberList(WorkspaceView):
    def get(self, request: Request, slug: str) -> Response:
        """All of them, at most 500."""
        workspace = workspaces.opened(_caller(request), slug)
        rows = Membership.objects.filter(workspace=workspace).select_related("user")
        return Response({"results": MemberShape(rows.order_by("user__email"), many=True).data})


class MemberDetail(WorkspaceView):
    def patch(self, request: Request, slug: str, member_id: int) -> Response:
        user = _caller(request)
        workspace = workspaces.opened(user, slug)
        asked = RoleRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        role = Role(asked.validated_data["role"])
        if role is Role.OWNER:
            refuse_unless_fresh(request)
        row = actions.set_role(user, workspace=workspace.pk, member=member_id, role=role)
        return Response(MemberShape(row).data)

    def delete(self, request: Request, slug: str, member_id: int) -> Response:
        """204: out at once, with the tokens that are good there alone."""
        user = _caller(request)
        actions.remove(user, workspace=workspaces.opened(user, slug).pk, member=member_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class InvitationList(WorkspaceView):
    needs = Scope.ADMIN

    def get(self, request: Request, slug: str) -> Response:
        """Those that wait; at most 100."""
        user = _caller(request)
        workspace = workspaces.opened(user, slug)
        if not workspaces.may(user, Permission.MANAGE_MEMBERS, workspace.pk):
            raise RoleTooLow
        rows = Invitation.objects.filter(workspace=workspace).order_by("email")
        return Response({"results": InvitationShape(rows, many=True).data})

    def post(self, request: Request, slug: str) -> Response:
        """201, whether or not there is an account with that address."""
        user = _caller(request)
        workspace = workspaces.opened(user, slug)
        asked = InvitationRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data

        def invite() -> Response:
            made = actions.invite(
                user, workspace=workspace.pk, email=given["email"], role=Role(given["role"])
            )
            return Response(InvitationShape(made).data, status=status.HTTP_201_CREATED)

        return once(request, invite)


class InvitationDetail(WorkspaceView):
    def delete(self, request: Request, slug: str, invitation_id: int) -> Response:
        """204: its link opens nothing."""
        user = _caller(request)
        workspace = workspaces.opened(user, slug)
        actions.withdraw(user, workspace=workspace.pk, invitation=invitation_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class Leave(WorkspaceView):
    def post(self, request: Request, slug: str) -> Response:
        user = _caller(request)
        workspace = workspaces.opened(user, slug)

        def leave() -> Response:
            actions.leave(user, workspace=workspace.pk)
            return Response({"left": workspace.slug})

        return once(request, leave)


class Transfer(WorkspaceView):
    def post(self, request: Request, slug: str) -> Response:
        """The new owner."""
        refuse_unless_fresh(request)
        user = _caller(request)
        workspace = workspaces.opened(user, slug)
        asked = TransferRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        member = asked.validated_data["member"]

        def transfer() -> Response:
            row = actions.transfer(user, workspace=workspace.pk, member=member)
            return Response(MemberShape(row).data)

        return once(request, transfer)
