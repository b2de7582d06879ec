"""Every migration since the first release leaves the release before it able to work.

During an upgrade old code runs on new tables (docs/howto/upgrade.md). So a migration adds; what is
taken away, made narrower or locks a large table stands in ALLOWED with the reason why it may.
Pure: reads the migrations, asks no database.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.postgres.operations import (
    AddIndexConcurrently,
    NotInTransactionMixin,
    RemoveIndexConcurrently,
)
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.models import NOT_PROVIDED

# The tables that grow with every job, or are written with every step or request.
LARGE = {
    "job", "jobrequest", "jobevent", "attempt", "artifact", "checkpoint", "delivery", "auditentry",
}  # fmt: skip
# Where the first release ended: nobody runs anything older.
FIRST_RELEASE = {"accounts": "0003", "jobs": "0005"}
ALLOWED = {
    "accounts.0004_workspaces": "a role's choices, which are no columns; rows for each person",
    "accounts.0005_cache": "makes a table",
    "accounts.0006_audit_stays": "refuses what no release did: to change what was audited",
    "jobs.0007_workspace_of_each": "tests/test_upgrade.py: the release before goes on beside it",
    "jobs.0008_quotas": "what was used before is added up into tables that it makes",
    "jobs.0012_counting_rights": "functions run with their owner's rights, which are more",
    "jobs.0013_shelf": "foreign keys of tables that it makes",
    "jobs.0016_tallies": "marks in a table that it makes",
}


def _ours() -> Iterator[tuple[str, Any, frozenset[str]]]:
    """Name, operation, tables made with it: of every migration after the first release."""
    for (app, name), migration in sorted(MigrationLoader(None).disk_migrations.items()):
        if app in FIRST_RELEASE and name[:4] > FIRST_RELEASE[app]:
            made: set[str] = set()
            for operation in _flat(migration.operations):
                if isinstance(operation, migrations.CreateModel):
                    made.add(operation.name_lower)
                yield f"{app}.{name}", operation, frozenset(made)


def _flat(operations: Any) -> Iterator[Any]:
    """What reaches the database; the state's part is Django's own bookkeeping."""
    for operation in operations:
        if isinstance(operation, migrations.SeparateDatabaseAndState):
            yield from _flat(operation.database_operations)
        else:
            yield operation


def breaks(  # noqa: PLR0911 - one for each kind
    operation: Any, made: frozenset[str] = frozenset()
) -> str:
    """Why the code before would stumble over it, or wait for it; empty when it does neither.

    made: tables that the same migration has made, and that the code before does not know.
    """
    table = getattr(operation, "model_name_lower", getattr(operation, "name_lower", ""))
    if table in made and not isinstance(operation, migrations.CreateModel):
        return ""
    match operation:
        case AddIndexConcurrently() | RemoveIndexConcurrently():
            return ""
        case migrations.AddField(field=field):
            return _missed(field)
        case migrations.AddIndex() if table in LARGE:
            return f"an index on {table} that locks it while it is built"
        case migrations.AddConstraint() if table in LARGE:
            return f"a constraint on {table} that locks it while all rows are read"
        case migrations.AddConstraint():
            return f"a constraint on {table} that the code before may not keep"
        case (
            migrations.RemoveField()
            | migrations.RenameField()
            | migrations.AlterField()
            | migrations.DeleteModel()
            | migrations.RenameModel()
            | migrations.AlterModelTable()
            | migrations.AlterUniqueTogether()
        ):
            return f"{type(operation).__name__} of {table}"
        case migrations.RunSQL() | migrations.RunPython():
            return f"{type(operation).__name__}, which nobody can judge but a person"
    return ""


def _missed(field: "models.Field[Any, Any]") -> str:
    """Code that does not know the column names no value for it."""
    if field.null or field.db_default is not NOT_PROVIDED or field.many_to_many:
        return ""
    return f"a column {field.name} without db_default, which the code before does not fill"


def test_no_migration_takes_from_the_release_before_what_it_needs() -> None:
    found: dict[str, set[str]] = {}
    for name, operation, made in _ours():
        if why := breaks(operation, made):
            found.setdefault(name, set()).add(why)
    unexplained = {name: found[name] for name in found.keys() - ALLOWED.keys()}
    assert not unexplained, "say in ALLOWED why it may, or do it in two releases"
    assert ALLOWED.keys() <= found.keys(), "these need no leave any more"


def test_an_index_is_built_beside_its_table_outside_of_a_transaction() -> None:
    for (app, name), migration in MigrationLoader(None).disk_migrations.items():
        if app in FIRST_RELEASE:
            beside = [
                each for each in migration.operations if isinstance(each, NotInTransactionMixin)
            ]
            assert not beside or migration.atomic is False, f"{app}.{name}"


@pytest.mark.parametrize(
    "operation",
    [
        migrations.RemoveField("worker", "trouble"),
        migrations.RenameField("worker", "trouble", "worry"),
        migrations.AlterField("worker", "trouble", models.CharField(max_length=10)),
        migrations.AddField("worker", "new", models.IntegerField(default=0)),
        migrations.AddIndex("job", models.Index(fields=["state"], name="new")),
        migrations.DeleteModel("worker"),
        migrations.RunSQL("SELECT 1"),
    ],
    ids=lambda operation: type(operation).__name__,
)
def test_the_rule_sees_what_breaks(operation: Any) -> None:
    assert breaks(operation)


def test_the_rule_lets_pass_what_adds() -> None:
    assert not breaks(migrations.AddField("job", "new", models.IntegerField(db_default=0)))
    assert not breaks(migrations.AddField("job", "new", models.IntegerField(null=True)))
    assert not breaks(migrations.CreateModel("new", []))
