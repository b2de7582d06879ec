from django.db import migrations, models


class Migration(migrations.Migration):
    """db_default: the release before it makes accounts, too, and does not name the columns."""

    dependencies = [
        ('accounts', '0006_audit_stays'),
    ]

    operations = [
        migrations.AddField(
            model_name='user',
            name='name',
            field=models.CharField(blank=True, db_default='', default='', max_length=80),
        ),
        migrations.AddField(
            model_name='user',
            name='time_zone',
            field=models.CharField(blank=True, db_default='', default='', max_length=64),
        ),
        migrations.AddField(
            model_name='user',
            name='date_style',
            field=models.CharField(blank=True, db_default='', default='', max_length=16),
        ),
    ]
