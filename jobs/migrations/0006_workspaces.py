"""Every job belongs to a workspace: at first those that are new, the others in 0007."""

import django.db.models.deletion
import django.db.models.expressions
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_workspaces'),
        ('jobs', '0005_api_indexes'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name='job',
            name='begin',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='job',
            name='move',
        ),
        migrations.AddField(
            model_name='job',
            name='over_quota',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name='job',
            name='reserved_seconds',
            field=models.FloatField(db_default=0.0, default=0.0),
        ),
        migrations.AddField(
            model_name='job',
            name='workspace',
            field=models.ForeignKey(null=True, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.workspace'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='job',
            trigger=pgtrigger.compiler.Trigger(name='begin', sql=pgtrigger.compiler.UpsertTriggerSql(func="\nIF NEW.workspace_id IS NULL THEN  -- written by a release that knows of none\n    SELECT workspace_id INTO NEW.workspace_id FROM accounts_membership\n    WHERE user_id = NEW.owner_id ORDER BY joined_at, id LIMIT 1;\n    IF NEW.workspace_id IS NULL THEN  -- the owner came by that release as well\n        INSERT INTO accounts_workspace (name, slug)\n        VALUES ('Workspace', 'workspace-' || left(md5(random()::text), 12))\n        RETURNING id INTO NEW.workspace_id;\n        INSERT INTO accounts_membership (workspace_id, user_id, role)\n        VALUES (NEW.workspace_id, NEW.owner_id, 'owner');\n    END IF;\nEND IF;\nIF (NEW.state, NEW.attempt, NEW.releases, NEW.version) <> ('queued', 0, 0, 1) THEN\n    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_begin_queued', MESSAGE = 'a job begins queued, with no attempt, at version 1';\nEND IF;\nRETURN NEW;\n", hash='6aee3723937a938c1a5f1ca453f81692a0d461d0', operation='INSERT', pgid='pgtrigger_begin_49d47', table='jobs_job', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='job',
            trigger=pgtrigger.compiler.Trigger(name='move', sql=pgtrigger.compiler.UpsertTriggerSql(func="\nIF OLD.state IN ('cancelled', 'expired', 'failed', 'parked', 'succeeded') THEN\n    OLD.deleted_at := NEW.deleted_at;  -- hidden, or brought back\n    OLD.workspace_id := coalesce(OLD.workspace_id, NEW.workspace_id);  -- of before there were any\n    IF NEW IS DISTINCT FROM OLD THEN\n        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_final_never_changes', MESSAGE = format('job %s is %s for good', OLD.id, OLD.state);\n    END IF;\n    RETURN NEW;\nEND IF;\nIF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (('queued', 'cancelled'), ('queued', 'expired'), ('queued', 'running'), ('running', 'cancelled'), ('running', 'failed'), ('running', 'parked'), ('running', 'queued'), ('running', 'succeeded')) THEN\n    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_move_in_table', MESSAGE = format('no move leads from %s to %s', OLD.state, NEW.state);\nEND IF;\nIF NEW.attempt - OLD.attempt <>\n    (OLD.state = 'queued' AND NEW.state = 'running')::int THEN\n    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_attempt_counts_claims', MESSAGE = 'the attempt grows by one with every claim';\nEND IF;\nIF NEW.releases - OLD.releases NOT IN (0,\n    (OLD.state = 'running' AND NEW.state = 'queued')::int) THEN\n    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_releases_count_releases', MESSAGE = 'releases grow by one with a release';\nEND IF;\nIF NEW.version - OLD.version NOT IN ((NEW.state <> OLD.state)::int, 1) THEN\n    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_version_counts_events', MESSAGE = 'the version grows by one with every move';\nEND IF;\nIF OLD.cancel_requested_at IS NOT NULL\n    AND NEW.cancel_requested_at IS DISTINCT FROM OLD.cancel_requested_at THEN\n    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_cancel_stays', MESSAGE = 'a cancel that was asked for stays asked for';\nEND IF;\nIF (NEW.id, NEW.owner_id, NEW.workspace_id, NEW.created_at) IS DISTINCT FROM\n    (OLD.id, OLD.owner_id, coalesce(OLD.workspace_id, NEW.workspace_id), OLD.created_at) THEN\n    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_identity_stays', MESSAGE = 'id, owner, workspace and birth of a job never change';\nEND IF;\nRETURN NEW;\n", hash='9bb5683d6b38411f624d5b2a92a47abdb0176ab8', operation='UPDATE', pgid='pgtrigger_move_018be', table='jobs_job', when='BEFORE')),
        ),
    ]
