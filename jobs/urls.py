"""The heart's addresses: pages, files, API."""

from django.urls import path

from jobs import api, files_api, live_api, models_api, operators_api, tags_api, usage_page
from jobs.admin import models
from jobs.metrics import page
from jobs.pages import (
    compare,
    deleted,
    expected,
    files,
    health,
    job,
    job_verbs,
    library,
    queue,
    queue_verbs,
    shelf,
    studio,
    styleguide,
)
from jobs.schema import pages as schema
from jobs.webhooks import urls as webhook_urls

JOB = "api/v1/jobs/<uuid:job_id>"

urlpatterns = [
    path("", studio.home, name="home"),
    path("estimate", expected.estimate, name="estimate"),
    path("unfinished", expected.unfinished, name="unfinished"),
    path("jobs/<uuid:job_id>/", job.job_page, name="job"),
    path("jobs/<uuid:job_id>/outlook", job.job_outlook, name="job_outlook"),
    path("jobs/<uuid:job_id>/recipe.json", job.job_recipe, name="job_recipe"),
    path("jobs/<uuid:job_id>/cancel", job_verbs.job_cancel, name="job_cancel"),
    path("jobs/<uuid:job_id>/retry", job_verbs.job_retry, name="job_retry"),
    path("jobs/<uuid:job_id>/vary", job_verbs.job_vary, name="job_vary"),
    path("jobs/<uuid:job_id>/delete", job_verbs.job_delete, name="job_delete"),
    path("jobs/<uuid:job_id>/restore", job_verbs.job_restore, name="job_restore"),
    path("jobs/<uuid:job_id>/<int:attempt>/<str:name>", files.job_file, name="job_file"),
    path("library", library.library, name="library"),
    path("library/cards", library.library_cards, name="library_cards"),
    path("library/compare", compare.compare, name="compare"),
    path("library/deleted", deleted.deleted, name="library_deleted"),
    path("library/act", shelf.act, name="shelf_act"),
    path("library/zip", shelf.archive, name="shelf_zip"),
    path("library/tags", shelf.tags, name="shelf_tags"),
    path("api/v1/jobs", api.JobList.as_view(), name="api_jobs"),
    path("api/v1/jobs/batch", api.JobBatch.as_view(), name="api_jobs_batch"),
    path("api/v1/jobs/dry-run", api.JobDryRun.as_view(), name="api_jobs_dry_run"),
    path(JOB, api.JobDetail.as_view(), name="api_job"),
    path(f"{JOB}/cancel", api.JobCancel.as_view(), name="api_job_cancel"),
    path(f"{JOB}/retry", api.JobRetry.as_view(), name="api_job_retry"),
    path(f"{JOB}/remix", api.JobRemix.as_view(), name="api_job_remix"),
    path(f"{JOB}/restore", api.JobRestore.as_view(), name="api_job_restore"),
    path(f"{JOB}/artifacts", files_api.JobArtifacts.as_view(), name="api_job_artifacts"),
    path(f"{JOB}/recipe", files_api.JobRecipe.as_view(), name="api_job_recipe"),
    path(f"{JOB}/events", live_api.JobEvents.as_view(), name="api_job_events"),
    path(f"{JOB}/preview", live_api.JobPreview.as_view(), name="api_job_preview"),
    path("api/v1/events", live_api.MyEvents.as_view(), name="api_events"),
    path("api/v1/live/tickets", live_api.Tickets.as_view(), name="api_tickets"),
    path("api/v1/models", models_api.ModelList.as_view(), name="api_models"),
    path("api/v1/models/<str:name>", models_api.ModelDetail.as_view(), name="api_model"),
    path("api/v1/tags", tags_api.TagList.as_view(), name="api_tags"),
    path("api/v1/usage", models_api.MyUsage.as_view(), name="api_usage"),
    path("settings/usage", usage_page.usage_page, name="usage"),
    path("api/v1/workers", operators_api.WorkerList.as_view(), name="api_workers"),
    path(
        "api/v1/workers/<str:name>/drain",
        operators_api.WorkerDrain.as_view(),
        name="api_worker_drain",
    ),
    path(
        "api/v1/workers/<str:name>/resume",
        operators_api.WorkerResume.as_view(),
        name="api_worker_resume",
    ),
    path("api/v1/queue", operators_api.QueueOverview.as_view(), name="api_queue"),
    path("api/schema", schema.schema, name="api_schema"),
    path("api/docs", schema.docs, name="api_docs"),
    path("queue", queue.page, name="queue"),
    path("queue/retry", queue_verbs.retry, name="queue_retry"),
    path("queue/cancel", queue_verbs.cancel, name="queue_cancel"),
    path("queue/drain", queue_verbs.drain, name="queue_drain"),
    path("admin/queue/", queue.before, name="queue_before"),
    path("admin/models/", models.page, name="console_models"),
    path("admin/models/<str:name>/", models.change, name="console_model"),
    path("styleguide", styleguide.styleguide, name="styleguide"),
    path("healthz/live", health.live, name="health_live"),
    path("healthz/ready", health.ready, name="health_ready"),
    path("metrics", page.metrics, name="metrics"),
    *webhook_urls.urlpatterns,
]
