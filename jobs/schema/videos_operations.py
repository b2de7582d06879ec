"""The operations under /v1/ for SDKs of a closed vendor's API: docs/reference/videos.md."""

from typing import Any

from drf_spectacular.utils import OpenApiExample
from rest_framework import serializers

from jobs import errors
from jobs.openai_fields import LOWEST_PRIORITY
from jobs.openai_shapes import STATUSES, VARIANTS
from jobs.schema.answers import CostAnswer
from jobs.schema.operation import Answer, Link, Operation, add, header, query

VIDEO = "/v1/videos/{video_id}"
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
Shape = serializers.Serializer[Any]


class FailureAnswer(Shape):
    code = serializers.CharField()
    message = serializers.CharField(allow_blank=True)


class VideoAnswer(Shape):
    id = serializers.CharField()
    object = serializers.ChoiceField(choices=["video"])
    created_at = serializers.IntegerField(help_text="Seconds since 1970.")
    completed_at = serializers.IntegerField(allow_null=True)
    expires_at = serializers.IntegerField(allow_null=True, help_text="Null: nothing expires.")
    model = serializers.CharField()
    status = serializers.ChoiceField(choices=sorted(set(STATUSES.values())))
    progress = serializers.IntegerField(min_value=0, max_value=100, help_text="It never falls.")
    prompt = serializers.CharField()
    seconds = serializers.CharField(help_text="The length's name.")
    size = serializers.CharField()
    remixed_from_video_id = serializers.CharField(allow_null=True)
    error = FailureAnswer(allow_null=True)
    queue_position = serializers.IntegerField(allow_null=True, help_text="1 is next.")
    eta_seconds = serializers.FloatField(allow_null=True, help_text="Null: nobody knows.")
    cost = CostAnswer()
    quality = serializers.CharField()


class VideoPageAnswer(Shape):
    object = serializers.ChoiceField(choices=["list"])
    data = VideoAnswer(many=True)  # type: ignore[assignment]  # the field of that name
    first_id = serializers.CharField(allow_null=True)
    last_id = serializers.CharField(allow_null=True)
    has_more = serializers.BooleanField()


class DeletedVideoAnswer(Shape):
    id = serializers.CharField()
    object = serializers.ChoiceField(choices=["video.deleted"])
    deleted = serializers.BooleanField()


class OfferedModelAnswer(Shape):
    id = serializers.CharField()
    object = serializers.ChoiceField(choices=["model"])
    created = serializers.IntegerField(help_text="0.")
    owned_by = serializers.CharField()
    seconds = serializers.ListField(child=serializers.CharField())
    sizes = serializers.ListField(child=serializers.CharField())
    inputs = serializers.ListField(child=serializers.CharField())


class OfferedModelsAnswer(Shape):
    object = serializers.ChoiceField(choices=["list"])
    data = OfferedModelAnswer(many=True)  # type: ignore[assignment]


class _Settings(Shape):
    seconds = serializers.CharField(required=False, help_text="One of the model's lengths.")
    size = serializers.CharField(required=False, help_text="WIDTHxHEIGHT.")
    seed = serializers.IntegerField(required=False)
    steps = serializers.IntegerField(required=False)
    guidance_scale = serializers.FloatField(required=False)
    num_frames = serializers.IntegerField(required=False)
    negative_prompt = serializers.CharField(
        required=False, allow_blank=True, max_length=0, help_text="No model here reads one."
    )


class VideoRequest(_Settings):
    prompt = serializers.CharField()
    model = serializers.CharField(required=False)
    input_reference = serializers.CharField(
        required=False, help_text="A picture: a file, or a data: URL in base64."
    )
    fps = serializers.IntegerField(required=False, help_text="The model's own.")
    priority = serializers.IntegerField(
        required=False, min_value=LOWEST_PRIORITY, max_value=0, help_text="0 is the usual one."
    )


class RemixedVideoRequest(_Settings):
    prompt = serializers.CharField()


_BYTES = {"type": "string", "format": "binary"}
_POLL = {"openai-poll-after-ms": "While unfinished: when to look again, milliseconds."}
_REFUSALS = (
    *(errors.NoWorkspace, errors.Forbidden),
    *(errors.BadSpec, errors.ModelOff, errors.UnsupportedByModel),
    *errors.OVER_LIMITS,
)
_NEXT_STEPS = (
    Link(operation="retrieveVideo", parameter="video_id"),
    Link(operation="remixVideo", parameter="video_id"),
    Link(operation="deleteVideo", parameter="video_id"),
)
_NOT_HERE = "No model here can do it."


def _unsupported(name: str) -> Operation:
    return Operation(
        id=name,
        tag="videos",
        summary=_NOT_HERE,
        answers={},
        refusals=(errors.UnsupportedByModel,),
    )


add(
    {
        "GET /v1/videos": Operation(
            id="listVideos",
            tag="videos",
            summary="The videos of the workspace that you work in, by page",
            parameters=(
                query("after", "The `last_id` of the page before."),
                query("limit", "", {"type": "integer", "minimum": 1, "maximum": 100}),
                query("order", "By time.", {"type": "string", "enum": ["asc", "desc"]}),
            ),
            answers={200: Answer(says="A page.", body=VideoPageAnswer)},
            refusals=(errors.NoWorkspace,),
        ),
        "POST /v1/videos": Operation(
            id="createVideo",
            tag="videos",
            summary="A new video",
            says="In any of three encodings; what is left out comes from the model.",
            body=VideoRequest,
            body_media_types=FORMS,
            examples=(
                OpenApiExample(
                    "two seconds",
                    {"prompt": "a red circle moving right", "seconds": "2", "size": "64x64"},
                    request_only=True,
                ),
            ),
            answers={200: Answer(says="The video, queued.", body=VideoAnswer, headers=_POLL)},
            refusals=(*_REFUSALS, errors.BadImage, errors.ImagesBusy),
            links=_NEXT_STEPS,
        ),
        f"GET {VIDEO}": Operation(
            id="retrieveVideo",
            tag="videos",
            summary="A video; one that failed too",
            answers={200: Answer(says="The video.", body=VideoAnswer, headers=_POLL)},
        ),
        f"DELETE {VIDEO}": Operation(
            id="deleteVideo",
            tag="videos",
            summary="Delete a video",
            says="One that waits or runs is cancelled, and the GPU stops.",
            answers={200: Answer(says="It is gone.", body=DeletedVideoAnswer)},
        ),
        f"GET {VIDEO}/content": Operation(
            id="downloadVideo",
            tag="videos",
            summary="The files of a completed video",
            parameters=(
                query("variant", "", {"type": "string", "enum": list(VARIANTS)}),
                header("Range", "`bytes=FIRST-LAST`."),
            ),
            answers={
                200: Answer(
                    says="The file.",
                    body=_BYTES,
                    media_type="video/mp4",
                    media_types=("image/png", "image/jpeg"),
                ),
                206: Answer(
                    says="The part of it that was asked for.",
                    body=_BYTES,
                    media_type="video/mp4",
                    media_types=("image/png", "image/jpeg"),
                ),
                302: Answer(says="With S3: a link of 5 minutes, in `Location`."),
                304: Answer(says="What you have is what it is."),
            },
            refusals=(errors.NotReady, errors.BadRange),
        ),
        f"POST {VIDEO}/remix": Operation(
            id="remixVideo",
            tag="videos",
            summary="A new video like this one, but for what you change",
            body=RemixedVideoRequest,
            body_media_types=FORMS,
            answers={200: Answer(says="The new one, queued.", body=VideoAnswer, headers=_POLL)},
            refusals=_REFUSALS,
            links=_NEXT_STEPS[:1],
        ),
        "POST /v1/videos/edits": _unsupported("editVideo"),
        "POST /v1/videos/extensions": _unsupported("extendVideo"),
        "POST /v1/videos/characters": _unsupported("createCharacter"),
        "GET /v1/videos/characters/{character_id}": _unsupported("getCharacter"),
        "GET /v1/models": Operation(
            id="listOfferedModels",
            tag="videos",
            summary="The models as the SDKs know them",
            answers={200: Answer(says="The first is the default.", body=OfferedModelsAnswer)},
        ),
        "GET /v1/models/{name}": Operation(
            id="getOfferedModel",
            tag="videos",
            summary="One of them",
            answers={200: Answer(says="The model.", body=OfferedModelAnswer)},
        ),
    }
)
