"""Indexes on tables that may be large: made beside what goes on.

In a transaction each would hold up every renewal of a lease until it is made, and the sweep would take
healthy jobs back.
"""

import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.expressions
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [('jobs', '0004_api')]

    operations = [
        AddIndexConcurrently(
            model_name='job',
            index=models.Index(condition=models.Q(('deleted_at__isnull', False)), fields=['deleted_at'], name='jobs_deleted'),
        ),
        AddIndexConcurrently(
            model_name='attempt',
            index=models.Index(condition=models.Q(('number', 1), ('outcome', 'succeeded')), fields=['-ended_at'], name='jobs_durations'),
        ),
        AddIndexConcurrently(
            model_name='job',
            index=models.Index(django.db.models.expressions.CombinedExpression(models.F('owner'), '*', models.Value(1)), models.F('created_at'), condition=models.Q(('state__in', ['queued', 'running'])), include=('owner',), name='jobs_of_owner_unfinished'),
        ),
        AddIndexConcurrently(
            model_name='job',
            index=models.Index(condition=models.Q(('finished_at__isnull', False)), fields=['owner', '-finished_at', '-id'], name='jobs_of_owner_ended'),
        ),
        AddIndexConcurrently(
            model_name='job',
            index=models.Index(condition=models.Q(('state__in', ['cancelled', 'expired', 'failed', 'parked'])), fields=['owner', '-created_at', '-id'], name='jobs_of_owner_undone'),
        ),
        AddIndexConcurrently(
            model_name='jobrequest',
            index=django.contrib.postgres.indexes.GinIndex(django.contrib.postgres.search.SearchVector('prompt', config='simple'), name='jobs_prompt_words'),
        ),
        RemoveIndexConcurrently(
            model_name='job',
            name='jobs_unfinished',
        ),
    ]
