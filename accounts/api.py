"""REST of a person's own things: who they are, and their tokens."""

from datetime import timedelta
from typing import Any, cast

from django.db.models import QuerySet
from django.http import Http404
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import actions, places, workspaces
from accounts.auth import refuse_unless_fresh
from accounts.errors import OutOfScope
from accounts.idempotency import once
from accounts.models import ApiToken, User, Workspace
from accounts.roles import Role, Scope, SiteRole


class PlaceShape(serializers.Serializer[Any]):
    slug = serializers.CharField()
    name = serializers.CharField()
    role = serializers.ChoiceField(choices=[role.value for role in Role])
    current = serializers.BooleanField(help_text="Where you work when you name none.")


class MeShape(serializers.Serializer[Any]):
    email = serializers.EmailField()
    name = serializers.CharField(help_text="What others read of you; empty: your address.")
    role = serializers.ChoiceField(choices=[role.value for role in SiteRole])
    scopes = serializers.ListField(child=serializers.ChoiceField([s.value for s in Scope]))
    token = serializers.CharField(allow_null=True, help_text="The name of the token that came.")
    workspaces = PlaceShape(many=True, help_text="Those that this request may touch.")


class TokenRequest(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=100)
    scopes = serializers.ListField(
        child=serializers.ChoiceField([scope.value for scope in Scope]), min_length=1, max_length=3
    )
    expires_in_days = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=actions.MAX_TOKEN_DAYS
    )
    workspace = serializers.SlugField(
        required=False, allow_null=True, help_text="The only one it is good in; null: all of yours."
    )


class TokenShape(serializers.Serializer[Any]):
    prefix = serializers.CharField(source="token_key", help_text="Its first characters.")
    name = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    created_at = serializers.DateTimeField(source="created")
    expires_at = serializers.DateTimeField(source="expiry", allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)
    workspace = serializers.CharField(
        source="workspace.slug", default=None, allow_null=True, help_text="Null: all of yours."
    )


class NewToken(TokenShape):
    token = serializers.CharField(
        allow_null=True, help_text="Shown this once; null where the answer is a repeated one."
    )


class Me(APIView):
    needs = None

    def get(self, request: Request) -> Response:
        """Who asks, and what the token is for."""
        user = cast(User, request.user)
        token = request.auth.name if isinstance(request.auth, ApiToken) else None
        scopes = [scope.value for scope in Scope if scope in user.scopes]
        who: dict[str, Any] = {
            "email": user.email,
            "name": user.name,
            "role": user.role,
            "scopes": scopes,
            "token": token,
        }
        who["workspaces"] = places.of(user)
        return Response(MeShape(who).data)


class TokenList(APIView):
    """Of tokens only those of the scope admin: a lost one must not be able to make others."""

    needs = Scope.ADMIN

    def get(self, request: Request) -> Response:
        """The caller's tokens, newest first; at most 50."""
        mine = _tokens(cast(User, request.user)).order_by("-created")
        return Response({"results": TokenShape(mine, many=True).data})

    def post(self, request: Request) -> Response:
        """201 and the token itself, which is shown this once."""
        refuse_unless_fresh(request)
        asked = TokenRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        given, user = asked.validated_data, cast(User, request.user)
        days = given.get("expires_in_days")
        workspace = _workspace(user, given.get("workspace"))

        def issue() -> Response:
            row, token = actions.issue_token(
                user,
                name=given["name"],
                scopes=given["scopes"],
                expires_in=None if days is None else timedelta(days=days),
                workspace=workspace,
            )
            shape = {**TokenShape(row).data, "token": token}
            return Response(shape, status=status.HTTP_201_CREATED)

        return once(request, issue, secret=("token",))


class TokenDetail(APIView):
    needs = None  # the verb itself says what for

    def delete(self, request: Request, prefix: str) -> Response:
        """204: it opens nothing any more. A token may revoke itself, whatever it is for."""
        user = cast(User, request.user)
        token = _tokens(user).filter(token_key=prefix).first()
        if token is None:
            raise Http404
        if request.auth != token and Scope.ADMIN not in user.scopes:
            raise OutOfScope(Scope.ADMIN)
        actions.revoke_token(token)
        return Response(status=status.HTTP_204_NO_CONTENT)


def _tokens(user: User) -> QuerySet[ApiToken]:
    """Theirs; a token of one workspace alone knows no other's."""
    mine: QuerySet[ApiToken] = ApiToken.objects.filter(user=user).select_related("workspace")
    return mine if user.only_in is None else mine.filter(workspace=user.only_in)


def _workspace(user: User, slug: str | None) -> Workspace | None:
    """Of a token to be made; that of the token that makes it, where none is named.

    Raises BadFields.
    """
    if slug is None:
        return None if user.only_in is None else workspaces.current(user)
    named = workspaces.chosen(user, slug)
    return None if named is None else Workspace.objects.get(pk=named)
