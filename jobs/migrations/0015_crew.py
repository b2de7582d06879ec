"""What workers tell of themselves, and failed jobs by their end. Beside what goes on, as in 0005."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [('jobs', '0014_shelf_indexes')]

    operations = [
        migrations.AddField(
            model_name='worker',
            name='facts',
            field=models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict),
        ),
        AddIndexConcurrently(
            model_name='job',
            index=models.Index(condition=models.Q(('state', 'failed')), fields=['-finished_at'], name='jobs_failed'),
        ),
    ]
