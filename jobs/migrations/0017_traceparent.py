"""A job's request carries the trace that it belongs to; the version before does not name it."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [('jobs', '0016_tallies')]

    operations = [
        migrations.AddField(
            model_name='jobrequest',
            name='traceparent',
            field=models.CharField(blank=True, db_default='', default='', max_length=55),
        ),
    ]
