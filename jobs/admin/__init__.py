"""The operators' console: jobs and workers to look at; jobs/actions stays the only writer."""

from jobs.admin.job import JobAdmin
from jobs.admin.worker import WorkerAdmin

__all__ = ["JobAdmin", "WorkerAdmin"]
