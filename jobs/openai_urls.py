"""Addresses under /v1/, as the SDKs know them; none ends in a slash."""

from django.urls import path

from jobs import openai_api

urlpatterns = [
    path("videos", openai_api.Videos.as_view(), name="v1_videos"),
    # Before the ids: an id could be no such word, but a reader should not have to know.
    path("videos/edits", openai_api.Edits.as_view(), name="v1_edits"),
    path("videos/extensions", openai_api.Extensions.as_view(), name="v1_extensions"),
    path("videos/characters", openai_api.Characters.as_view(), name="v1_characters"),
    path(
        "videos/characters/<str:character_id>",
        openai_api.Character.as_view(),
        name="v1_character",
    ),
    path("videos/<str:video_id>", openai_api.Video.as_view(), name="v1_video"),
    path("videos/<str:video_id>/content", openai_api.Content.as_view(), name="v1_content"),
    path("videos/<str:video_id>/remix", openai_api.Remix.as_view(), name="v1_remix"),
    path("models", openai_api.Models.as_view(), name="v1_models"),
    path("models/<str:name>", openai_api.Model.as_view(), name="v1_model"),
]
