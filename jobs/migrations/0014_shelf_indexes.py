"""The library's order of clips. Beside what goes on, as in 0005."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [('jobs', '0013_shelf')]

    operations = [
        AddIndexConcurrently(
            model_name='job',
            index=models.Index(condition=models.Q(('deleted_at__isnull', True), ('state', 'succeeded')), fields=['workspace', '-created_at', '-id'], name='jobs_clips'),
        ),
        AddIndexConcurrently(
            model_name='job',
            index=models.Index(condition=models.Q(('deleted_at__isnull', True), ('state', 'succeeded')), fields=['workspace', 'owner', '-created_at', '-id'], name='jobs_clips_of_owner'),
        ),
        AddIndexConcurrently(
            model_name='job',
            index=models.Index(condition=models.Q(('deleted_at__isnull', False)), fields=['workspace', '-deleted_at', '-id'], name='jobs_deleted_of_workspace'),
        ),
    ]
