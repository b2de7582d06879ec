import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models
from django.utils.crypto import get_random_string
from django.utils.text import slugify


BATCH = 1000


def open_workspaces(apps, schema_editor):
    """One for everybody who is there already, who owns it."""
    User = apps.get_model('accounts', 'User')
    Workspace = apps.get_model('accounts', 'Workspace')
    Membership = apps.get_model('accounts', 'Membership')
    database = schema_editor.connection.alias
    people = list(User.objects.using(database).order_by('pk').values_list('pk', 'email'))
    for start in range(0, len(people), BATCH):
        part = people[start:start + BATCH]
        opened = Workspace.objects.using(database).bulk_create(
            Workspace(name=f"{email.partition('@')[0]}'s workspace"[:80], slug=slug(email))
            for _, email in part
        )
        Membership.objects.using(database).bulk_create(
            Membership(user_id=person, workspace=workspace, role='owner')
            for (person, _), workspace in zip(part, opened)
        )


def slug(email):
    words = slugify(email.partition('@')[0])[:30].strip('-') or 'workspace'
    return f"{words}-{get_random_string(8, 'abcdefghjkmnpqrstuvwxyz23456789')}"


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_api'),
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.CreateModel(
            name='Workspace',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('max_running', models.PositiveIntegerField(blank=True, null=True)),
                ('max_queued', models.PositiveIntegerField(blank=True, null=True)),
                ('max_gpu_seconds', models.PositiveIntegerField(blank=True, null=True)),
                ('max_stored_bytes', models.PositiveBigIntegerField(blank=True, null=True)),
                ('name', models.CharField(max_length=80)),
                ('slug', models.SlugField(unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.AlterModelOptions(
            name='apitoken',
            options={'verbose_name': 'token'},
        ),
        migrations.AddField(
            model_name='user',
            name='sessions_ended',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name='user',
            name='role',
            field=models.CharField(choices=[('member', 'Member'), ('operator', 'Operator'), ('administrator', 'Administrator')], default='member', max_length=20),
        ),
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('verb', models.CharField(max_length=40)),
                ('actor_id', models.BigIntegerField(null=True)),
                ('actor', models.CharField(blank=True, max_length=254)),
                ('workspace_id', models.BigIntegerField(null=True)),
                ('workspace', models.CharField(blank=True, max_length=50)),
                ('subject', models.CharField(blank=True, max_length=254)),
                ('via', models.CharField(blank=True, max_length=40)),
                ('address', models.GenericIPAddressField(null=True)),
                ('request_id', models.CharField(blank=True, max_length=64)),
                ('data', models.JSONField(default=dict)),
            ],
            options={
                'verbose_name_plural': 'audit entries',
                'indexes': [models.Index(fields=['-at', '-id'], name='accounts_audit_newest'), models.Index(fields=['workspace_id', '-at', '-id'], name='accounts_audit_workspace'), models.Index(fields=['verb', '-at', '-id'], name='accounts_audit_verb'), models.Index(fields=['actor', '-at', '-id'], name='accounts_audit_actor'), models.Index(fields=['subject', '-at', '-id'], name='accounts_audit_subject'), models.Index(fields=['workspace_id', 'verb', '-at', '-id'], name='accounts_audit_workspace_verb'), models.Index(condition=models.Q(('request_id', ''), _negated=True), fields=['request_id'], name='accounts_audit_request')],
            },
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('max_running', models.PositiveIntegerField(blank=True, null=True)),
                ('max_queued', models.PositiveIntegerField(blank=True, null=True)),
                ('max_gpu_seconds', models.PositiveIntegerField(blank=True, null=True)),
                ('max_stored_bytes', models.PositiveBigIntegerField(blank=True, null=True)),
                ('role', models.CharField(choices=[('viewer', 'Viewer'), ('creator', 'Creator'), ('manager', 'Manager'), ('owner', 'Owner')], max_length=20)),
                ('joined_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='members', to='accounts.workspace')),
            ],
        ),
        migrations.CreateModel(
            name='Invitation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('email', models.EmailField(max_length=254)),
                ('role', models.CharField(choices=[('viewer', 'Viewer'), ('creator', 'Creator'), ('manager', 'Manager'), ('owner', 'Owner')], max_length=20)),
                ('digest', models.CharField(max_length=64, unique=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('expires_at', models.DateTimeField(db_index=True)),
                ('mailed_at', models.DateTimeField(null=True)),
                ('invited_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('workspace', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='invitations', to='accounts.workspace')),
            ],
        ),
        migrations.AddField(
            model_name='apitoken',
            name='workspace',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.workspace'),
        ),
        migrations.AddField(
            model_name='user',
            name='workspace',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='accounts.workspace'),
        ),
        migrations.AddIndex(
            model_name='apitoken',
            index=models.Index(fields=['-created'], name='accounts_token_newest'),
        ),
        migrations.AddIndex(
            model_name='user',
            index=models.Index(condition=models.Q(('role', 'member'), _negated=True), fields=['email'], name='accounts_user_staff'),
        ),
        migrations.AddIndex(
            model_name='user',
            index=models.Index(condition=models.Q(('is_active', False)), fields=['email'], name='accounts_user_closed'),
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.UniqueConstraint(fields=('user', 'workspace'), name='accounts_member_once'),
        ),
        migrations.AddIndex(
            model_name='invitation',
            index=models.Index(fields=['email'], name='accounts_invitation_email'),
        ),
        migrations.AddConstraint(
            model_name='invitation',
            constraint=models.UniqueConstraint(fields=('workspace', 'email'), name='accounts_one_invitation_each'),
        ),
        migrations.RunPython(open_workspaces, migrations.RunPython.noop),
    ]
