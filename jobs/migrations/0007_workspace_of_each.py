"""The workspace of the jobs that were there before, and the indexes of lists by workspace.

Beside what goes on, as in 0005: in one transaction it would hold up every renewal of a lease.
"""

import django.db.models.deletion
import django.db.models.expressions
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

BATCH = 5000  # rows of one transaction
FILL = """
WITH part AS (
    SELECT id FROM jobs_job WHERE id > %(after)s ORDER BY id LIMIT %(batch)s
), filled AS (
    UPDATE jobs_job AS job SET workspace_id = (
        SELECT workspace_id FROM accounts_membership
        WHERE user_id = job.owner_id ORDER BY joined_at, id LIMIT 1)
    FROM part WHERE job.id = part.id AND job.workspace_id IS NULL
)
SELECT max(id::text) FROM part
"""


# They came by the release before, after accounts 0004 had opened one for everybody.
OPEN = """
WITH without AS (
    SELECT id, nextval(pg_get_serial_sequence('accounts_workspace', 'id')) AS workspace
    FROM accounts_user AS person
    WHERE NOT EXISTS (SELECT FROM accounts_membership WHERE user_id = person.id)
), opened AS (
    INSERT INTO accounts_workspace (id, name, slug)
    SELECT workspace, 'Workspace', 'workspace-' || left(md5(random()::text), 12) FROM without
)
INSERT INTO accounts_membership (workspace_id, user_id, role)
SELECT workspace, id, 'owner' FROM without
"""


def fill(apps, schema_editor):
    after = '00000000-0000-0000-0000-000000000000'
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(OPEN)
        while after is not None:
            cursor.execute(FILL, {'after': after, 'batch': BATCH})
            after = cursor.fetchone()[0]


class Migration(migrations.Migration):

    atomic = False

    dependencies = [('jobs', '0006_workspaces')]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
        # NOT NULL by way of a constraint, which is validated beside what goes on.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name='job',
                    name='workspace',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.workspace'),
                ),
            ],
            database_operations=[
                migrations.RunSQL('ALTER TABLE jobs_job DROP CONSTRAINT IF EXISTS jobs_in_a_workspace', ''),
                migrations.RunSQL(
                    'ALTER TABLE jobs_job ADD CONSTRAINT jobs_in_a_workspace CHECK (workspace_id IS NOT NULL) NOT VALID',
                    'ALTER TABLE jobs_job DROP CONSTRAINT IF EXISTS jobs_in_a_workspace',
                ),
                migrations.RunSQL('ALTER TABLE jobs_job VALIDATE CONSTRAINT jobs_in_a_workspace', ''),
                migrations.RunSQL(
                    'ALTER TABLE jobs_job ALTER workspace_id SET NOT NULL',
                    'ALTER TABLE jobs_job ALTER workspace_id DROP NOT NULL',
                ),
                migrations.RunSQL('ALTER TABLE jobs_job DROP CONSTRAINT jobs_in_a_workspace', ''),
            ],
        ),
        AddIndexConcurrently(
            model_name='job',
            index=models.Index(fields=['workspace', '-created_at', '-id'], name='jobs_of_workspace'),
        ),
        AddIndexConcurrently(
            model_name='job',
            index=models.Index(django.db.models.expressions.CombinedExpression(models.F('workspace'), '*', models.Value(1)), models.F('created_at'), condition=models.Q(('state__in', ['queued', 'running'])), include=('workspace', 'owner', 'reserved_seconds'), name='jobs_of_workspace_unfinished'),
        ),
        AddIndexConcurrently(
            model_name='job',
            index=models.Index(condition=models.Q(('finished_at__isnull', False)), fields=['workspace', '-finished_at', '-id'], name='jobs_of_workspace_ended'),
        ),
        AddIndexConcurrently(
            model_name='job',
            index=models.Index(condition=models.Q(('state__in', ['cancelled', 'expired', 'failed', 'parked'])), fields=['workspace', '-created_at', '-id'], name='jobs_of_workspace_undone'),
        ),
        RemoveIndexConcurrently(model_name='job', name='jobs_of_owner_undone'),
    ]
