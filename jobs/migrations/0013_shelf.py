"""Favourites and tags.

The foreign keys take marks along in the database itself: the release before, which goes on beside
this one, deletes jobs and workspaces and does not know these tables.
"""

import django.db.models.deletion
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


KEYS = (
    ('jobs_favourite', 'job_id', 'jobs_job', 'CASCADE'),
    ('jobs_favourite', 'user_id', 'accounts_user', 'CASCADE'),
    ('jobs_jobtag', 'job_id', 'jobs_job', 'CASCADE'),
    ('jobs_jobtag', 'tag_id', 'jobs_tag', 'CASCADE'),
    ('jobs_jobtag', 'made_by_id', 'accounts_user', 'SET NULL'),
    ('jobs_tag', 'workspace_id', 'accounts_workspace', 'CASCADE'),
)


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_audit_stays'),
        ('jobs', '0012_counting_rights'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Favourite',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('job_created_at', models.DateTimeField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='JobTag',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('job_created_at', models.DateTimeField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.CreateModel(
            name='Tag',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=40)),
                ('key', models.CharField(max_length=120)),
                ('used', models.IntegerField(db_default=0, default=0)),
            ],
        ),
        migrations.AddField(
            model_name='favourite',
            name='job',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='favourites', to='jobs.job'),
        ),
        migrations.AddField(
            model_name='favourite',
            name='user',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='favourite',
            name='workspace',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.workspace'),
        ),
        migrations.AddField(
            model_name='jobtag',
            name='job',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='tagged', to='jobs.job'),
        ),
        migrations.AddField(
            model_name='jobtag',
            name='made_by',
            field=models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='tag',
            name='workspace',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.workspace'),
        ),
        migrations.AddField(
            model_name='jobtag',
            name='tag',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='jobs.tag'),
        ),
        migrations.AddIndex(
            model_name='favourite',
            index=models.Index(fields=['user', 'workspace', '-job_created_at', '-job'], name='jobs_favourites'),
        ),
        migrations.AddConstraint(
            model_name='favourite',
            constraint=models.UniqueConstraint(fields=('job', 'user'), name='jobs_favourite_once'),
        ),
        migrations.AddConstraint(
            model_name='tag',
            constraint=models.UniqueConstraint(fields=('workspace', 'key'), name='jobs_tag_once'),
        ),
        migrations.AddIndex(
            model_name='jobtag',
            index=models.Index(fields=['tag', '-job_created_at', '-job'], name='jobs_tagged'),
        ),
        migrations.AddConstraint(
            model_name='jobtag',
            constraint=models.UniqueConstraint(fields=('job', 'tag'), name='jobs_tag_on_job_once'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='jobtag',
            trigger=pgtrigger.compiler.Trigger(name='tagged_counts', sql=pgtrigger.compiler.UpsertTriggerSql(func='\nUPDATE jobs_tag AS tag SET used = tag.used + counted.jobs\nFROM (SELECT tag_id, count(*) AS jobs FROM marks GROUP BY tag_id) AS counted\nWHERE tag.id = counted.tag_id;\nRETURN NULL;\n', hash='09fa9f1562ee375dcbfee5fcc1a5f3cdd1058d92', level='STATEMENT', operation='INSERT', pgid='pgtrigger_tagged_counts_6c3b1', referencing='REFERENCING NEW TABLE AS marks ', table='jobs_jobtag', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='jobtag',
            trigger=pgtrigger.compiler.Trigger(name='untagged_counts', sql=pgtrigger.compiler.UpsertTriggerSql(func='\nUPDATE jobs_tag AS tag SET used = tag.used - counted.jobs\nFROM (SELECT tag_id, count(*) AS jobs FROM marks GROUP BY tag_id) AS counted\nWHERE tag.id = counted.tag_id;\nRETURN NULL;\n', hash='4d51548bbd2dd446c2c2730e9ccedb0afd32431e', level='STATEMENT', operation='DELETE', pgid='pgtrigger_untagged_counts_fd317', referencing='REFERENCING OLD TABLE AS marks ', table='jobs_jobtag', when='AFTER')),
        ),
        *(
            migrations.RunSQL(
                f'ALTER TABLE {table} ADD CONSTRAINT {table}_{column}_goes '
                f'FOREIGN KEY ({column}) REFERENCES {to} ON DELETE {then}',
                f'ALTER TABLE {table} DROP CONSTRAINT {table}_{column}_goes',
            )
            for table, column, to, then in KEYS
        ),
    ]
