"""What was counted, and up to where. Counting begins here: what happened before is not read."""

import django.contrib.postgres.fields
import django.db.models.functions.datetime
from django.db import migrations, models

BEGIN = """
INSERT INTO jobs_tallymark ("table", counted_to, next_to, next_xid)
SELECT 'jobs_jobevent', coalesce(max(id), 0), 0, 0 FROM jobs_jobevent
UNION ALL SELECT 'jobs_deliverytry', coalesce(max(id), 0), 0, 0 FROM jobs_deliverytry
"""


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0015_crew'),
    ]

    operations = [
        migrations.CreateModel(
            name='TallyMark',
            fields=[
                ('table', models.CharField(max_length=40, primary_key=True, serialize=False)),
                ('counted_to', models.BigIntegerField(default=0)),
                ('next_to', models.BigIntegerField(default=0)),
                ('next_xid', models.BigIntegerField(default=0)),
                ('looked_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='Tally',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=80)),
                ('labels', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=100), size=None)),
                ('value', models.FloatField(default=0.0)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('name', 'labels'), name='jobs_tally_once')],
            },
        ),
        migrations.RunSQL(BEGIN, migrations.RunSQL.noop),
    ]
