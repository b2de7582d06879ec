"""The audit log is only ever added to.

Plain SQL instead of a trigger of pgtrigger's, which any session can tell to look away
(SET pgtrigger.ignore). One for each statement: it refuses those, too, that would change no row.
"""

from django.db import migrations

STAYS = """
CREATE FUNCTION accounts_audit_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'accounts_audit_stays',
        MESSAGE = 'what was audited is never changed and never deleted';
END $$;
CREATE TRIGGER accounts_audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON accounts_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION accounts_audit_stays();
ALTER TABLE accounts_auditentry ENABLE ALWAYS TRIGGER accounts_audit_stays;
"""
GOES = """
DROP TRIGGER accounts_audit_stays ON accounts_auditentry;
DROP FUNCTION accounts_audit_stays();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0005_cache'),
    ]

    operations = [
        migrations.RunSQL(STAYS, GOES),
    ]
