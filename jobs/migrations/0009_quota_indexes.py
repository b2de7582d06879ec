"""The queue without those that have no place to run in. Beside what goes on, as in 0005.

Under their old names at the end: the old ones serve until the new ones are there.
"""

import django.db.models.expressions
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [('jobs', '0008_quotas')]

    operations = [
        migrations.RenameIndex(model_name='job', old_name='jobs_queue', new_name='jobs_queue_before'),
        AddIndexConcurrently(
            model_name='job',
            index=models.Index(models.F('pool'), django.db.models.expressions.CombinedExpression(models.F('priority'), '*', models.Value(-1)), models.F('run_at'), models.F('id'), condition=models.Q(('over_quota', False), ('state', 'queued')), name='jobs_queue'),
        ),
        RemoveIndexConcurrently(model_name='job', name='jobs_queue_before'),
        AddIndexConcurrently(
            model_name='job',
            index=models.Index(models.F('workspace'), models.F('owner'), django.db.models.expressions.CombinedExpression(models.F('priority'), '*', models.Value(-1)), models.F('run_at'), models.F('id'), condition=models.Q(('over_quota', True), ('state', 'queued')), name='jobs_over_quota'),
        ),
        migrations.RenameIndex(model_name='job', old_name='jobs_of_workspace_unfinished', new_name='jobs_unfinished_before'),
        AddIndexConcurrently(
            model_name='job',
            index=models.Index(django.db.models.expressions.CombinedExpression(models.F('workspace'), '*', models.Value(1)), models.F('over_quota'), django.db.models.expressions.CombinedExpression(models.F('owner'), '*', models.Value(1)), condition=models.Q(('state__in', ['queued', 'running'])), include=('workspace', 'owner', 'reserved_seconds'), name='jobs_of_workspace_unfinished'),
        ),
        RemoveIndexConcurrently(model_name='job', name='jobs_unfinished_before'),
    ]
