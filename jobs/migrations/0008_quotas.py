"""What workspaces and people have used, counted by triggers; what was used this month already."""

import django.db.models.deletion
import django.db.models.expressions
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


STORED = """
INSERT INTO jobs_storedbytes (workspace_id, user_id, bytes)
SELECT job.workspace_id, job.owner_id, sum(file.size)
FROM jobs_artifact AS file JOIN jobs_job AS job ON job.id = file.job_id
GROUP BY job.workspace_id, job.owner_id
"""
SPENT = """
INSERT INTO jobs_gpuseconds (workspace_id, user_id, month, seconds)
SELECT job.workspace_id, job.owner_id, this.month::date, sum(extract(epoch FROM
    one.ended_at AT TIME ZONE 'UTC' - greatest(this.month, one.started_at AT TIME ZONE 'UTC')))
FROM (SELECT date_trunc('month', statement_timestamp() AT TIME ZONE 'UTC') AS month) AS this
JOIN jobs_attempt AS one ON one.ended_at AT TIME ZONE 'UTC' > this.month
JOIN jobs_job AS job ON job.id = one.job_id
GROUP BY job.workspace_id, job.owner_id, this.month
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_workspaces'),
        ('jobs', '0007_workspace_of_each'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='GpuSeconds',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('month', models.DateField()),
                ('seconds', models.FloatField()),
            ],
        ),
        migrations.CreateModel(
            name='StoredBytes',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('bytes', models.BigIntegerField()),
            ],
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='job',
            name='move',
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='artifact',
            trigger=pgtrigger.compiler.Trigger(name='put_counts', sql=pgtrigger.compiler.UpsertTriggerSql(func='\nINSERT INTO jobs_storedbytes AS kept (workspace_id, user_id, bytes)\nSELECT job.workspace_id, job.owner_id, sum(file.size)\nFROM files AS file JOIN jobs_job AS job ON job.id = file.job_id\nGROUP BY job.workspace_id, job.owner_id\nON CONFLICT (workspace_id, user_id) DO UPDATE SET bytes = kept.bytes + excluded.bytes;\nRETURN NULL;\n', hash='bc3958549949460cb708cfe747a1324dbdeab7f1', level='STATEMENT', operation='INSERT', pgid='pgtrigger_put_counts_91dc9', referencing='REFERENCING NEW TABLE AS files ', table='jobs_artifact', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='artifact',
            trigger=pgtrigger.compiler.Trigger(name='taken_away_counts', sql=pgtrigger.compiler.UpsertTriggerSql(func='\nINSERT INTO jobs_storedbytes AS kept (workspace_id, user_id, bytes)\nSELECT job.workspace_id, job.owner_id, -sum(file.size)\nFROM files AS file JOIN jobs_job AS job ON job.id = file.job_id\nGROUP BY job.workspace_id, job.owner_id\nON CONFLICT (workspace_id, user_id) DO UPDATE SET bytes = kept.bytes + excluded.bytes;\nRETURN NULL;\n', hash='492a60c1bcb78511976367ffa79eb59599d05c41', level='STATEMENT', operation='DELETE', pgid='pgtrigger_taken_away_counts_46c90', referencing='REFERENCING OLD TABLE AS files ', table='jobs_artifact', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='attempt',
            trigger=pgtrigger.compiler.Trigger(name='spent', sql=pgtrigger.compiler.UpsertTriggerSql(condition="WHEN (OLD.outcome = 'running' AND NEW.outcome <> 'running')", func="\nINSERT INTO jobs_gpuseconds AS kept (workspace_id, user_id, month, seconds)\nSELECT job.workspace_id, job.owner_id, part.month::date, part.seconds\nFROM jobs_job AS job, (\n    SELECT date_trunc('month', NEW.ended_at AT TIME ZONE 'UTC') AS this\n) AS month, LATERAL (VALUES\n    (date_trunc('month', NEW.started_at AT TIME ZONE 'UTC'), CASE\n        WHEN NEW.started_at AT TIME ZONE 'UTC' < month.this\n        THEN extract(epoch FROM month.this - NEW.started_at AT TIME ZONE 'UTC') ELSE 0 END),\n    (month.this, extract(epoch FROM NEW.ended_at AT TIME ZONE 'UTC'\n        - greatest(month.this, NEW.started_at AT TIME ZONE 'UTC')))\n) AS part (month, seconds)\nWHERE job.id = NEW.job_id AND part.seconds > 0\nON CONFLICT (workspace_id, month, user_id) DO UPDATE SET seconds = kept.seconds + excluded.seconds;\nRETURN NULL;\n", hash='91a013d08fdcae9f82ccb51b5df2de4359b0d437', operation='UPDATE', pgid='pgtrigger_spent_5b324', table='jobs_attempt', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='job',
            trigger=pgtrigger.compiler.Trigger(name='move', sql=pgtrigger.compiler.UpsertTriggerSql(func="\nIF OLD.state IN ('cancelled', 'expired', 'failed', 'parked', 'succeeded') THEN\n    OLD.deleted_at := NEW.deleted_at;  -- hidden, or brought back\n    OLD.workspace_id := coalesce(OLD.workspace_id, NEW.workspace_id);  -- of before there were any\n    IF NEW IS DISTINCT FROM OLD THEN\n        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_final_never_changes', MESSAGE = format('job %s is %s for good', OLD.id, OLD.state);\n    END IF;\n    RETURN NEW;\nEND IF;\nIF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (('queued', 'cancelled'), ('queued', 'expired'), ('queued', 'running'), ('running', 'cancelled'), ('running', 'failed'), ('running', 'parked'), ('running', 'queued'), ('running', 'succeeded')) THEN\n    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_move_in_table', MESSAGE = format('no move leads from %s to %s', OLD.state, NEW.state);\nEND IF;\nIF NEW.attempt - OLD.attempt <>\n    (OLD.state = 'queued' AND NEW.state = 'running')::int THEN\n    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_attempt_counts_claims', MESSAGE = 'the attempt grows by one with every claim';\nEND IF;\nIF NEW.releases - OLD.releases NOT IN (0,\n    (OLD.state = 'running' AND NEW.state = 'queued')::int) THEN\n    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_releases_count_releases', MESSAGE = 'releases grow by one with a release';\nEND IF;\nIF NEW.version - OLD.version NOT IN ((NEW.state <> OLD.state)::int, 1) THEN\n    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_version_counts_events', MESSAGE = 'the version grows by one with every move';\nEND IF;\nIF OLD.cancel_requested_at IS NOT NULL\n    AND NEW.cancel_requested_at IS DISTINCT FROM OLD.cancel_requested_at THEN\n    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_cancel_stays', MESSAGE = 'a cancel that was asked for stays asked for';\nEND IF;\nIF (NEW.id, NEW.owner_id, NEW.workspace_id, NEW.created_at) IS DISTINCT FROM\n    (OLD.id, OLD.owner_id, coalesce(OLD.workspace_id, NEW.workspace_id), OLD.created_at) THEN\n    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_identity_stays', MESSAGE = 'id, owner, workspace and birth of a job never change';\nEND IF;\nNEW.over_quota := NEW.over_quota AND NEW.state = 'queued';  -- who runs has a place\nRETURN NEW;\n", hash='097ffd06d351be4966f58f27c65bb9f550ffc00f', operation='UPDATE', pgid='pgtrigger_move_018be', table='jobs_job', when='BEFORE')),
        ),
        migrations.AddField(
            model_name='gpuseconds',
            name='user',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='gpuseconds',
            name='workspace',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.workspace'),
        ),
        migrations.AddField(
            model_name='storedbytes',
            name='user',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='storedbytes',
            name='workspace',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.workspace'),
        ),
        migrations.AddConstraint(
            model_name='gpuseconds',
            constraint=models.UniqueConstraint(fields=('workspace', 'month', 'user'), name='jobs_seconds_of_a_month'),
        ),
        migrations.AddConstraint(
            model_name='storedbytes',
            constraint=models.UniqueConstraint(fields=('workspace', 'user'), name='jobs_bytes_of_a_person'),
        ),
        # After the triggers, whose making lets nobody write until this has been committed.
        migrations.RunSQL(STORED, migrations.RunSQL.noop),
        migrations.RunSQL(SPENT, migrations.RunSQL.noop),
    ]
