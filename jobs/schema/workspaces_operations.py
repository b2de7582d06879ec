"""The operations on workspaces, their members and invitations."""

from drf_spectacular.utils import OpenApiExample
from rest_framework import serializers

from accounts import errors
from accounts.workspace_api import (
    InvitationRequest,
    InvitationShape,
    MemberShape,
    RoleRequest,
    TransferRequest,
    WorkspaceRequest,
    WorkspaceShape,
)
from jobs.schema.operation import Answer, Link, Operation, add

ALL, ONE = "/api/v1/workspaces", "/api/v1/workspaces/{slug}"
MEMBER, INVITATION = f"{ONE}/members/{{member_id}}", f"{ONE}/invitations/{{invitation_id}}"
_LEFT = {"type": "object", "required": ["left"], "properties": {"left": {"type": "string"}}}


class WorkspacesAnswer(serializers.Serializer[object]):
    results = WorkspaceShape(many=True)


class MembersAnswer(serializers.Serializer[object]):
    results = MemberShape(many=True)


class InvitationsAnswer(serializers.Serializer[object]):
    results = InvitationShape(many=True)


_OF_ONE = tuple(
    Link(operation=name, parameter="slug", value="$response.body#/slug")
    for name in ("getWorkspace", "changeWorkspace", "listMembers", "listInvitations")
)

add(
    {
        f"GET {ALL}": Operation(
            id="listWorkspaces",
            tag="workspaces",
            summary="The workspaces that you are in",
            answers={200: Answer(says="At most 20.", body=WorkspacesAnswer)},
        ),
        f"POST {ALL}": Operation(
            id="createWorkspace",
            tag="workspaces",
            summary="Another workspace, which you own",
            body=WorkspaceRequest,
            examples=(OpenApiExample("a club", {"name": "The film club"}, request_only=True),),
            answers={201: Answer(says="The workspace.", body=WorkspaceShape)},
            refusals=(errors.TooManyWorkspaces,),
            links=_OF_ONE,
        ),
        f"GET {ONE}": Operation(
            id="getWorkspace",
            tag="workspaces",
            summary="A workspace",
            answers={200: Answer(says="The workspace.", body=WorkspaceShape)},
        ),
        f"PATCH {ONE}": Operation(
            id="changeWorkspace",
            tag="workspaces",
            summary="Rename a workspace; its slug stays",
            body=WorkspaceRequest,
            answers={200: Answer(says="The workspace.", body=WorkspaceShape)},
            refusals=(errors.RoleTooLow,),
        ),
        f"DELETE {ONE}": Operation(
            id="deleteWorkspace",
            tag="workspaces",
            summary="Delete a workspace without videos",
            answers={204: Answer(says="It is gone.")},
            refusals=(errors.RoleTooLow, errors.WorkspaceInUse, errors.SignInAgain),
        ),
        f"GET {ONE}/members": Operation(
            id="listMembers",
            tag="workspaces",
            summary="Who is in a workspace",
            answers={200: Answer(says="At most 500.", body=MembersAnswer)},
        ),
        f"PATCH {MEMBER}": Operation(
            id="changeMember",
            tag="workspaces",
            summary="Give a member another role",
            body=RoleRequest,
            answers={200: Answer(says="The member.", body=MemberShape)},
            refusals=(errors.RoleTooLow, errors.LastOwner, errors.SignInAgain),
        ),
        f"DELETE {MEMBER}": Operation(
            id="removeMember",
            tag="workspaces",
            summary="Put a member out, at once",
            answers={204: Answer(says="They see nothing here any more.")},
            refusals=(errors.RoleTooLow, errors.LastOwner),
        ),
        f"GET {ONE}/invitations": Operation(
            id="listInvitations",
            tag="workspaces",
            summary="The invitations that wait",
            answers={200: Answer(says="At most 100.", body=InvitationsAnswer)},
            refusals=(errors.RoleTooLow,),
        ),
        f"POST {ONE}/invitations": Operation(
            id="invite",
            tag="workspaces",
            summary="Invite somebody by e-mail",
            says="The answer is the same whether or not there is an account with that address. "
            "One that waits for it is replaced.",
            body=InvitationRequest,
            examples=(
                OpenApiExample(
                    "to make videos",
                    {"email": "dana@example.com", "role": "creator"},
                    request_only=True,
                ),
            ),
            answers={201: Answer(says="The mail goes out.", body=InvitationShape)},
            refusals=(
                errors.RoleTooLow,
                errors.TooManyInvitations,
                errors.TooManyMembers,
                errors.TooManyMails,
            ),
            links=(Link(operation="withdrawInvitation", parameter="invitation_id"),),
        ),
        f"DELETE {INVITATION}": Operation(
            id="withdrawInvitation",
            tag="workspaces",
            summary="Withdraw an invitation",
            answers={204: Answer(says="Its link opens nothing.")},
            refusals=(errors.RoleTooLow,),
        ),
        f"POST {ONE}/leave": Operation(
            id="leaveWorkspace",
            tag="workspaces",
            summary="Leave a workspace",
            answers={200: Answer(says="You are out.", body=_LEFT)},
            refusals=(errors.LastOwner,),
        ),
        f"POST {ONE}/transfer": Operation(
            id="transferWorkspace",
            tag="workspaces",
            summary="Hand a workspace over; you are a manager then",
            body=TransferRequest,
            answers={200: Answer(says="Its new owner.", body=MemberShape)},
            refusals=(errors.RoleTooLow, errors.SignInAgain),
        ),
    }
)
