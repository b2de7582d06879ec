"""A pytest plugin: the databases of several processes are copies of one that was migrated once.

It stays on the server for the next session, until a source changes that a migration may run.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import OperationalError, connection
from django.db.backends.base.creation import BaseDatabaseCreation
from pytest_django import DjangoDbBlocker

from tests import migrated

FREE_SECONDS = 60.0  # the server itself waits 5 s in each try for who is there to leave


def _when_free(act: Callable[..., Any]) -> Callable[..., Any]:
    """Again while somebody is in the database: an autovacuum, or who has just closed it."""

    def acts(*arguments: Any) -> Any:
        until = time.monotonic() + FREE_SECONDS
        while True:
            try:
                return act(*arguments)
            except OperationalError as error:
                in_use = isinstance(error.__cause__, psycopg.errors.ObjectInUse)
                if not in_use or time.monotonic() > until:
                    raise

    return acts


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, django_db_blocker: DjangoDbBlocker
) -> None:
    """Names the one to copy, after it was made where there is none of these sources."""
    for step in ("_execute_create_test_db", "_destroy_test_db"):
        setattr(BaseDatabaseCreation, step, _when_free(getattr(BaseDatabaseCreation, step)))
    template = f"t2v_migrated_{migrated.key()}"
    with migrated.alone(Path(os.environ[migrated.FOLDER])), django_db_blocker.unblock():
        with connection._nodb_cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE 't2v_migrated_%'")
            found = {name for (name,) in cursor.fetchall()}
            if template not in found:
                for old in found:
                    _when_free(cursor.execute)(f'DROP DATABASE "{old}"')
        if template not in found:
            _migrate(template)
    connection.settings_dict["TEST"]["TEMPLATE"] = template


def _migrate(template: str) -> None:
    """Made under another name: one that was not finished is never copied."""
    tests, name = connection.settings_dict["TEST"], connection.settings_dict["NAME"]
    own, new = tests["NAME"], f"{template}_new"
    tests["NAME"] = new
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # of Postgres alone
    settings.DATABASES["default"]["NAME"] = connection.settings_dict["NAME"] = name
    tests["NAME"] = own
    with connection._nodb_cursor() as cursor:
        _when_free(cursor.execute)(f'ALTER DATABASE "{new}" RENAME TO "{template}"')
