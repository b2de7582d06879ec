"""The shapes of answers, for the schema: each test of the API holds the real ones against them."""

from typing import Any

from rest_framework import serializers

from jobs.lifecycle import State

Shape = serializers.Serializer[Any]
STATES = [(state.value, state.value) for state in State]


class SpecAnswer(Shape):
    model = serializers.CharField()
    prompt = serializers.CharField()
    width = serializers.IntegerField(help_text="Pixels.")
    height = serializers.IntegerField(help_text="Pixels.")
    frames = serializers.IntegerField()
    fps = serializers.IntegerField(help_text="Frames a second of the file.")
    steps = serializers.IntegerField(help_text="Denoising steps.")
    guidance = serializers.FloatField(help_text="Classifier-free guidance scale.")
    seed = serializers.IntegerField(help_text="0 to 4294967295.")
    quality = serializers.CharField(help_text='"exact", or a fast one of the model.')


class StripAnswer(Shape):
    columns = serializers.IntegerField()
    rows = serializers.IntegerField()
    tile_width = serializers.IntegerField(help_text="Pixels.")
    tile_height = serializers.IntegerField(help_text="Pixels.")
    steps = serializers.ListField(child=serializers.IntegerField())


class EstimateAnswer(Shape):
    """Null: nobody knows."""

    wait_seconds = serializers.FloatField(allow_null=True, help_text="Until it begins.")
    render_seconds = serializers.FloatField(allow_null=True, help_text="Of the whole render.")
    best_seconds = serializers.FloatField(allow_null=True, help_text="One in ten is quicker.")
    worst_seconds = serializers.FloatField(allow_null=True, help_text="One in ten is slower.")
    eta_seconds = serializers.FloatField(allow_null=True, help_text="Until the video is there.")


class CostAnswer(Shape):
    gpu_seconds = serializers.FloatField(allow_null=True)
    amount = serializers.CharField(allow_null=True, help_text="A decimal number.")
    currency = serializers.CharField()


class JobAnswer(Shape):
    id = serializers.UUIDField()
    state = serializers.ChoiceField(choices=STATES)
    version = serializers.IntegerField(help_text="The seq of its newest event.")
    attempt = serializers.IntegerField()
    workspace = serializers.CharField(help_text="Its slug.")
    owner = serializers.EmailField(help_text="Who made it.")
    prompt = serializers.CharField()
    spec = SpecAnswer()
    quality_label = serializers.CharField(
        allow_null=True, help_text="What must stand beside the video; null for an exact one."
    )
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    cancel_requested = serializers.BooleanField()
    place = serializers.IntegerField(
        allow_null=True,
        help_text="Jobs of its pool before it, at most 1,000; null when it ended or is held.",
    )
    held = serializers.CharField(
        allow_null=True,
        help_text="In words: for which others of the workspace it waits; null where for none.",
    )
    step = serializers.IntegerField()
    steps = serializers.IntegerField()
    phase = serializers.CharField(allow_null=True)
    seconds_left = serializers.FloatField(allow_null=True)
    video_url = serializers.CharField(allow_null=True)
    poster_url = serializers.CharField(allow_null=True)
    sprite_url = serializers.CharField(allow_null=True)
    strip_url = serializers.CharField(allow_null=True)
    strip = StripAnswer(allow_null=True)
    error_code = serializers.CharField(allow_blank=True)
    error_message = serializers.CharField(allow_blank=True)
    favourite = serializers.BooleanField(help_text="Of the caller's own.")
    tags = serializers.ListField(child=serializers.CharField())
    estimate = EstimateAnswer(allow_null=True, help_text="Null when it has ended.")
    cost = CostAnswer(help_text="What is expected; when it has ended, what it was.")


class TagAnswer(Shape):
    name = serializers.CharField(help_text="As whoever used it first wrote it.")
    used = serializers.IntegerField(help_text="Jobs that have it, some deleted ones with them.")


class TagsAnswer(Shape):
    results = TagAnswer(many=True, help_text="Most used first, at most 100.")


class JobPageAnswer(Shape):
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = JobAnswer(many=True)


class BatchedJobAnswer(Shape):
    id = serializers.UUIDField()
    state = serializers.ChoiceField(choices=STATES)


class BatchAnswer(Shape):
    jobs = BatchedJobAnswer(many=True, help_text="In the order in which they were asked for.")


class DryRunAnswer(Shape):
    spec = SpecAnswer()
    digest = serializers.CharField(help_text="SHA-256 of the recipe, hexadecimal.")
    estimate = EstimateAnswer()
    cost = CostAnswer()


class ArtifactAnswer(Shape):
    name = serializers.CharField()
    url = serializers.URLField(help_text="Made for this answer.")
    expires_in = serializers.IntegerField(
        allow_null=True, help_text="Seconds that the link is good; null where rights are asked."
    )
    content_type = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes.")
    sha256 = serializers.CharField(help_text="Hexadecimal.")
    facts = serializers.DictField(help_text="Of sheets of frames: their layout.")
    created_at = serializers.DateTimeField()


class ArtifactsAnswer(Shape):
    artifacts = ArtifactAnswer(many=True)


class RecipeModelAnswer(Shape):
    name = serializers.CharField()
    digest = serializers.CharField(
        allow_blank=True, help_text="Of its files, as on offer at submit."
    )


class RecipeAttemptAnswer(Shape):
    number = serializers.IntegerField()
    outcome = serializers.CharField()
    fingerprint = serializers.DictField(help_text="What a bit-identical repeat depends on.")


class RecipeAnswer(Shape):
    job = serializers.UUIDField()
    spec = SpecAnswer()
    digest = serializers.CharField(help_text="SHA-256 of the recipe, hexadecimal.")
    model = RecipeModelAnswer()
    attempt = RecipeAttemptAnswer(allow_null=True, help_text="The newest one.")
    retry_of = serializers.UUIDField(allow_null=True)
    remix_of = serializers.UUIDField(allow_null=True)


class QualityAnswer(Shape):
    name = serializers.CharField()
    title = serializers.CharField()


class WordsAnswer(Shape):
    part = serializers.CharField()
    words = serializers.ListField(child=serializers.CharField())


class LimitsAnswer(Shape):
    sizes = serializers.ListField(child=serializers.CharField())
    frames = serializers.ListField(child=serializers.IntegerField())
    min_steps = serializers.IntegerField()
    max_steps = serializers.IntegerField()
    min_guidance = serializers.FloatField()
    max_guidance = serializers.FloatField()
    max_prompt_chars = serializers.IntegerField()


class DefaultsAnswer(Shape):
    size = serializers.CharField()
    frames = serializers.IntegerField()
    steps = serializers.IntegerField()
    guidance = serializers.FloatField()


class ModelAnswer(Shape):
    name = serializers.CharField()
    title = serializers.CharField()
    understands = serializers.CharField(allow_blank=True)
    examples = serializers.ListField(child=serializers.CharField())
    words = WordsAnswer(many=True)
    qualities = QualityAnswer(many=True)
    licence = serializers.CharField(allow_blank=True)
    fps = serializers.IntegerField()
    limits = LimitsAnswer()
    defaults = DefaultsAnswer()


class CountedAnswer(Shape):
    count = serializers.IntegerField(help_text="At most 100,000.")
    maximum = serializers.IntegerField(allow_null=True, help_text="Null: there is no limit.")


class SecondsAnswer(Shape):
    used = serializers.FloatField(help_text="By attempts that ended this month.")
    reserved = serializers.FloatField(help_text="For unfinished jobs.")
    maximum = serializers.IntegerField(allow_null=True, help_text="Null: there is no limit.")


class BytesAnswer(Shape):
    used = serializers.IntegerField()
    maximum = serializers.IntegerField(allow_null=True, help_text="Null: there is no limit.")


class ShareAnswer(Shape):
    running = CountedAnswer()
    unfinished = CountedAnswer()
    waiting_for_a_place = serializers.IntegerField(
        help_text="Jobs that begin when others of the workspace have ended."
    )
    gpu_seconds = SecondsAnswer()
    stored_bytes = BytesAnswer()


class WorkspaceShareAnswer(ShareAnswer):
    slug = serializers.CharField()
    name = serializers.CharField()


class MemberShareAnswer(ShareAnswer):
    email = serializers.EmailField()
    role = serializers.CharField()


class UsageAnswer(Shape):
    unfinished = CountedAnswer(help_text="One's own, in the workspace.")
    jobs_days = serializers.IntegerField(help_text="Days that `jobs` looks back.")
    jobs = serializers.DictField(
        child=serializers.IntegerField(), help_text="How many are in each state."
    )
    month = serializers.CharField(help_text="The one of `gpu_seconds`, UTC, like 2026-11.")
    gpu_seconds = serializers.FloatField(help_text="Of all attempts in that month.")
    cost = CostAnswer()
    stored_bytes = serializers.IntegerField()
    renews_at = serializers.DateTimeField(help_text="When the month's GPU seconds are as new.")
    workspace = WorkspaceShareAnswer(
        allow_null=True, help_text="The one that the caller works in; null: in none."
    )
    person = ShareAnswer(help_text="The caller's own in it.")
    people = MemberShareAnswer(
        many=True, help_text="Of everybody in it, for those who manage it; else nobody."
    )


class TicketAnswer(Shape):
    ticket = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds.")


class WorkerAnswer(Shape):
    name = serializers.CharField()
    pool = serializers.CharField()
    device = serializers.CharField(allow_blank=True)
    lives = serializers.BooleanField()
    ready = serializers.BooleanField(help_text="Its first model is loaded.")
    does = serializers.CharField(help_text="In words: what it does, or why it takes no job.")
    trouble = serializers.CharField(allow_blank=True)
    models = serializers.ListField(
        child=serializers.CharField(), help_text="Loaded, as of its last sign."
    )
    memory_used = serializers.IntegerField(
        allow_null=True, help_text="Bytes of its device, as of its last sign."
    )
    memory_total = serializers.IntegerField(allow_null=True)
    holds = serializers.ListField(child=serializers.UUIDField(), help_text="Jobs.")
    started_at = serializers.DateTimeField()
    seen_at = serializers.DateTimeField()
    draining_since = serializers.DateTimeField(allow_null=True)


class WorkersAnswer(Shape):
    count = serializers.IntegerField(help_text="At most 1,000.")
    workers = WorkerAnswer(many=True, help_text="The 50 that were seen last.")


class QueuedAnswer(Shape):
    id = serializers.UUIDField()
    owner = serializers.EmailField()
    pool = serializers.CharField()
    place = serializers.IntegerField(help_text="From 1, in its pool; 0 where it is held.")
    why = serializers.CharField(help_text="In words: why it waits.")
    run_at = serializers.DateTimeField()


class RunningAnswer(Shape):
    id = serializers.UUIDField()
    owner = serializers.EmailField()
    pool = serializers.CharField()
    worker = serializers.CharField()
    attempt = serializers.IntegerField()
    step = serializers.IntegerField()
    steps = serializers.IntegerField()
    lease_left_seconds = serializers.FloatField(help_text="Negative: the sweep takes the job back.")
    resumed_from = serializers.IntegerField(allow_null=True)


class ParkedAnswer(Shape):
    id = serializers.UUIDField()
    owner = serializers.EmailField()
    pool = serializers.CharField()
    worker = serializers.CharField(allow_blank=True)
    finished_at = serializers.DateTimeField()
    error_code = serializers.CharField(allow_blank=True)
    error_message = serializers.CharField(allow_blank=True)


class RunningListAnswer(Shape):
    count = serializers.IntegerField(help_text="At most 1,000.")
    jobs = RunningAnswer(many=True)


class WaitingListAnswer(Shape):
    count = serializers.IntegerField(help_text="At most 1,000.")
    jobs = QueuedAnswer(many=True)


class ParkedListAnswer(Shape):
    count = serializers.IntegerField(help_text="At most 1,000.")
    jobs = ParkedAnswer(many=True)


class QueueAnswer(Shape):
    now = serializers.DateTimeField(help_text="By the clock of the database.")
    running = RunningListAnswer()
    waiting = WaitingListAnswer()
    parked = ParkedListAnswer(help_text="Those that nobody tried again.")
