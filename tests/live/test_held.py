"""What a stream holds of others while it lives."""

from contextlib import AsyncExitStack

import psycopg
from asgiref.sync import sync_to_async

from tests.live import worker
from tests.live.programs import Reader, reading
from tests.live.stage import People, Server, database_url

STREAMS = 20


def _reading_jobs() -> int:
    """Connections to the tests' database whose last words were about jobs, and that do nothing."""
    with psycopg.connect(database_url()) as postgres:
        row = postgres.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND state = 'idle' AND query LIKE 'SELECT \"jobs_job\".%'"
        ).fetchone()
    assert row is not None
    return int(row[0])


async def test_a_stream_that_waits_holds_no_connection_to_postgres(
    server: Server, people: People
) -> None:
    """Some people's streams would take all that Postgres has, and workers claim over it too."""
    cookie = await people.cookie(people.alice, server)
    job = (await sync_to_async(worker.submit)(people.alice)).pk
    readers = [Reader(server, cookie, f"/api/v1/jobs/{job}/events") for _ in range(STREAMS)]
    async with AsyncExitStack() as stack:
        for reader in readers:
            await stack.enter_async_context(reading(reader))
        for reader in readers:
            await reader.until(lambda memory: memory.seq(job) == 1)
        assert await sync_to_async(_reading_jobs)() < STREAMS / 4
