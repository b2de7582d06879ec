"""The operations on a person's own things: who they are, their tokens."""

from drf_spectacular.utils import OpenApiExample
from rest_framework import serializers

from accounts.api import MeShape, NewToken, TokenRequest, TokenShape
from accounts.errors import SignInAgain, TooManyTokens
from jobs.schema.operation import Answer, Link, Operation, add


class TokensAnswer(serializers.Serializer[object]):
    results = TokenShape(many=True)


add(
    {
        "GET /api/v1/me": Operation(
            id="getMe",
            tag="you",
            summary="Who you are, and what your token is for",
            answers={200: Answer(says="You.", body=MeShape)},
        ),
        "GET /api/v1/tokens": Operation(
            id="listTokens",
            tag="you",
            summary="Your tokens, newest first",
            answers={200: Answer(says="At most 50.", body=TokensAnswer)},
        ),
        "POST /api/v1/tokens": Operation(
            id="createToken",
            tag="you",
            summary="A new token",
            body=TokenRequest,
            examples=(
                OpenApiExample(
                    "for a script",
                    {"name": "nightly", "scopes": ["jobs:write"], "expires_in_days": 90},
                    request_only=True,
                ),
            ),
            answers={201: Answer(says="The token itself, shown this once.", body=NewToken)},
            refusals=(TooManyTokens, SignInAgain),
            links=(
                Link(operation="revokeToken", parameter="prefix", value="$response.body#/prefix"),
            ),
        ),
        "DELETE /api/v1/tokens/{prefix}": Operation(
            id="revokeToken",
            tag="you",
            summary="Revoke a token",
            answers={204: Answer(says="It opens nothing any more.")},
        ),
    }
)
