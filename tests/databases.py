"""A pytest plugin: the databases of several processes are copies of one that was migrated once.

It stays on the server for the next session, until a source changes that a migration may run.
"""

import os
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from pytest_django import DjangoDbBlocker

from tests import migrated


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, django_db_blocker: DjangoDbBlocker
) -> None:
    """Names the one to copy, after it was made where there is none of these sources."""
    template = f"t2v_migrated_{migrated.key()}"
    with migrated.alone(Path(os.environ[migrated.FOLDER])), django_db_blocker.unblock():
        with connection._nodb_cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE 't2v_migrated_%'")
            found = {name for (name,) in cursor.fetchall()}
            if template not in found:
                for old in found:
                    cursor.execute(f'DROP DATABASE "{old}"')
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
        cursor.execute(f'ALTER DATABASE "{new}" RENAME TO "{template}"')
