import uuid

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0003_artifact_facts'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        # Only Django forgets it: the release before, running beside, still names the column.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveConstraint(
                    model_name='job',
                    name='jobs_one_job_per_idempotency_key',
                ),
                migrations.RemoveField(
                    model_name='job',
                    name='idempotency_key',
                ),
            ],
        ),
        migrations.AddField(
            model_name='job',
            name='deleted_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='jobrequest',
            name='remix_of',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='jobs.job'),
        ),
        migrations.AddField(
            model_name='job',
            name='progress',
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.CreateModel(
            name='PoolLoad',
            fields=[
                ('pool', models.CharField(max_length=50, primary_key=True, serialize=False)),
                ('queued', models.PositiveIntegerField(default=0)),
                ('queued_seconds', models.FloatField(blank=True, null=True)),
                ('running', models.PositiveIntegerField(default=0)),
                ('running_seconds', models.FloatField(blank=True, null=True)),
                ('workers', models.PositiveIntegerField(default=0)),
                ('paces', models.JSONField(default=dict)),
                ('took_seconds', models.FloatField(default=0.0)),
                ('refreshed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='job',
            name='move',
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='job',
            trigger=pgtrigger.compiler.Trigger(name='move', sql=pgtrigger.compiler.UpsertTriggerSql(func="\nIF OLD.state IN ('cancelled', 'expired', 'failed', 'parked', 'succeeded') THEN\n    OLD.deleted_at := NEW.deleted_at;  -- hidden, or brought back\n    IF NEW IS DISTINCT FROM OLD THEN\n        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_final_never_changes', MESSAGE = format('job %s is %s for good', OLD.id, OLD.state);\n    END IF;\n    RETURN NEW;\nEND IF;\nIF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (('queued', 'cancelled'), ('queued', 'expired'), ('queued', 'running'), ('running', 'cancelled'), ('running', 'failed'), ('running', 'parked'), ('running', 'queued'), ('running', 'succeeded')) THEN\n    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_move_in_table', MESSAGE = format('no move leads from %s to %s', OLD.state, NEW.state);\nEND IF;\nIF NEW.attempt - OLD.attempt <>\n    (OLD.state = 'queued' AND NEW.state = 'running')::int THEN\n    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_attempt_counts_claims', MESSAGE = 'the attempt grows by one with every claim';\nEND IF;\nIF NEW.releases - OLD.releases NOT IN (0,\n    (OLD.state = 'running' AND NEW.state = 'queued')::int) THEN\n    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_releases_count_releases', MESSAGE = 'releases grow by one with a release';\nEND IF;\nIF NEW.version - OLD.version NOT IN ((NEW.state <> OLD.state)::int, 1) THEN\n    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_version_counts_events', MESSAGE = 'the version grows by one with every move';\nEND IF;\nIF OLD.cancel_requested_at IS NOT NULL\n    AND NEW.cancel_requested_at IS DISTINCT FROM OLD.cancel_requested_at THEN\n    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_cancel_stays', MESSAGE = 'a cancel that was asked for stays asked for';\nEND IF;\nIF NEW.id <> OLD.id OR NEW.owner_id <> OLD.owner_id OR NEW.created_at <> OLD.created_at THEN\n    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'jobs_identity_stays', MESSAGE = 'id, owner and birth of a job never change';\nEND IF;\nRETURN NEW;\n", hash='428a47253c4907ba094ebb7ab3db9e236786fbb0', operation='UPDATE', pgid='pgtrigger_move_018be', table='jobs_job', when='BEFORE')),
        ),
        migrations.CreateModel(
            name='WebhookEndpoint',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('url', models.CharField(max_length=2000)),
                ('description', models.CharField(blank=True, max_length=200)),
                ('events', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=30), default=list, size=None)),
                ('secret', models.TextField()),
                ('secret_hint', models.CharField(max_length=20)),
                ('old_secret', models.TextField(blank=True)),
                ('old_secret_until', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('disabled_at', models.DateTimeField(blank=True, null=True)),
                ('disabled_reason', models.CharField(blank=True, max_length=200)),
                ('deleted_at', models.DateTimeField(blank=True, null=True)),
                ('failing_since', models.DateTimeField(blank=True, null=True)),
                ('slow', models.BooleanField(default=False)),
                ('busy_until', models.DateTimeField(blank=True, null=True)),
                ('sent_at', models.DateTimeField(blank=True, null=True)),
                ('owner', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='webhook_endpoints', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('job.succeeded', 'job.succeeded'), ('job.failed', 'job.failed'), ('job.cancelled', 'job.cancelled'), ('job.parked', 'job.parked'), ('video.completed', 'video.completed'), ('video.failed', 'video.failed')], max_length=30)),
                ('body', models.TextField()),
                ('test', models.BooleanField(default=False)),
                ('state', models.CharField(choices=[('pending', 'Waiting'), ('delivered', 'Delivered'), ('exhausted', 'Given up')], default='pending', max_length=10)),
                ('tries', models.PositiveSmallIntegerField(default=0)),
                ('most_tries', models.PositiveSmallIntegerField()),
                ('next_at', models.DateTimeField(blank=True, db_default=django.db.models.functions.datetime.Now(), null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('delivered_at', models.DateTimeField(blank=True, null=True)),
                ('last_status', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('last_error', models.CharField(blank=True, max_length=200)),
                ('job', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='webhook_deliveries', to='jobs.job')),
                ('endpoint', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='jobs.webhookendpoint')),
            ],
        ),
        migrations.CreateModel(
            name='DeliveryTry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveSmallIntegerField()),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('url', models.CharField(max_length=2000)),
                ('request_headers', models.JSONField(default=dict)),
                ('status', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('excerpt', models.TextField(blank=True)),
                ('error', models.CharField(blank=True, max_length=200)),
                ('seconds', models.FloatField()),
                ('delivery', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='log', to='jobs.delivery')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('delivery', 'number'), name='jobs_delivery_try')],
            },
        ),
        migrations.AddIndex(
            model_name='webhookendpoint',
            index=models.Index(fields=['owner', '-created_at', '-id'], name='jobs_webhooks_of_owner'),
        ),
        migrations.AddIndex(
            model_name='webhookendpoint',
            index=models.Index(condition=models.Q(('old_secret_until__isnull', False)), fields=['old_secret_until'], name='jobs_webhooks_old_secrets'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('state', 'pending')), fields=['endpoint', 'next_at'], name='jobs_deliveries_due'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(fields=['endpoint', '-created_at', '-id'], name='jobs_deliveries_of_endpoint'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(fields=['created_at'], name='jobs_deliveries_age'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('next_at__isnull', False), ('state', 'pending')), models.Q(models.Q(('state', 'pending'), _negated=True), ('next_at__isnull', True)), _connector='OR'), name='jobs_pending_delivery_is_due'),
        ),
    ]
