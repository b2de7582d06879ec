"""The heart's addresses: pages, files, API."""

from django.urls import path

from jobs import api, views
from jobs.admin import queue

urlpatterns = [
    path("", views.home, name="home"),
    path("jobs/<uuid:job_id>/", views.job_page, name="job"),
    path("jobs/<uuid:job_id>/cancel", views.job_cancel, name="job_cancel"),
    path("jobs/<uuid:job_id>/<int:attempt>/<str:name>", views.job_file, name="job_file"),
    path("api/v1/jobs", api.JobList.as_view(), name="api_jobs"),
    path("api/v1/jobs/<uuid:job_id>", api.JobDetail.as_view(), name="api_job"),
    path("api/v1/jobs/<uuid:job_id>/cancel", api.JobCancel.as_view(), name="api_job_cancel"),
    path("api/v1/models", api.ModelList.as_view(), name="api_models"),
    path("admin/queue/", queue.page, name="queue"),
    path("admin/queue/retry", queue.retry, name="queue_retry"),
    path("admin/queue/drain", queue.drain, name="queue_drain"),
    path("health/live", views.live, name="health_live"),
    path("health/ready", views.ready, name="health_ready"),
]
