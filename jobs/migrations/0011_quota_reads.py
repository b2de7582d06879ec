"""A person's unfinished jobs in one workspace, counted by one index alone. Beside what goes on."""

import django.db.models.expressions
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [('jobs', '0010_model_switches')]

    operations = [
        migrations.RenameIndex(model_name='job', old_name='jobs_of_owner_unfinished', new_name='jobs_of_owner_before'),
        AddIndexConcurrently(
            model_name='job',
            index=models.Index(django.db.models.expressions.CombinedExpression(models.F('owner'), '*', models.Value(1)), models.F('created_at'), condition=models.Q(('state__in', ['queued', 'running'])), include=('owner', 'workspace'), name='jobs_of_owner_unfinished'),
        ),
        RemoveIndexConcurrently(model_name='job', name='jobs_of_owner_before'),
    ]
