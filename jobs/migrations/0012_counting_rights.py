"""What counts does so with the owner's rights: a worker with a role of its own writes no count by hand.

The functions are pgtrigger's, which has no word for this; a changed trigger needs it again.
"""

from django.db import migrations

FUNCTIONS = ('pgtrigger_put_counts_91dc9', 'pgtrigger_taken_away_counts_46c90', 'pgtrigger_spent_5b324')


class Migration(migrations.Migration):

    dependencies = [('jobs', '0011_quota_reads')]

    operations = [
        migrations.RunSQL(
            f'ALTER FUNCTION {name}() SECURITY DEFINER SET search_path = public, pg_temp',
            f'ALTER FUNCTION {name}() SECURITY INVOKER RESET search_path',
        )
        for name in FUNCTIONS
    ]
