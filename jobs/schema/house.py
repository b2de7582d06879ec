"""What drf-spectacular asks of each view, answered from the table of operations."""

from typing import Any

from drf_spectacular.drainage import warn
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from jobs.schema.operation import OPERATIONS, Operation, header
from jobs.schema.problems import SECURITY, SECURITY_BY_TOKEN, is_of_openai

IDEMPOTENCY_KEY = header(
    "Idempotency-Key",
    "1 to 255 printable characters. A repeated request with the key gets the first answer again, "
    "for 24 hours; with other values it is refused.",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
)
_UNKNOWN = Operation(id="", tag="unknown", summary="", answers={})


class HouseSchema(AutoSchema):
    @property
    def _described(self) -> Operation:
        return OPERATIONS.get(f"{self.method} {self.path}", _UNKNOWN)

    def get_operation_id(self) -> str:
        if self._described is _UNKNOWN:
            warn(f"{self.method} {self.path} is not described in jobs/schema")
        return self._described.id or super().get_operation_id()

    def get_summary(self) -> str:
        return self._described.summary

    def get_description(self) -> str:  # type: ignore[override]  # as AutoSchema does
        return self._described.says

    def get_tags(self) -> list[str]:
        return [self._described.tag]

    def get_auth(self) -> list[dict[str, Any]]:
        if self._described.public:
            return []
        return SECURITY_BY_TOKEN if is_of_openai(self.path) else SECURITY

    def get_filter_backends(self) -> list[Any]:
        return []

    def get_examples(self) -> list[Any]:
        return list(self._described.examples)

    def get_override_parameters(self) -> list[OpenApiParameter | Any]:
        keyed = self.method == "POST" and not self._described.public
        return [*self._described.parameters, *([IDEMPOTENCY_KEY] if keyed else [])]

    def get_request_serializer(self) -> Any:
        described = self._described
        if described.body is None:
            return None
        return dict.fromkeys(
            (described.body_media_type, *described.body_media_types), described.body
        )

    def get_response_serializers(self) -> Any:
        return {
            (code, kind): OpenApiResponse(answer.body, description=answer.says)
            for code, answer in self._described.answers.items()
            for kind in (answer.media_type, *answer.media_types)
        }
