-- Three roles for one database: its owner migrates, t2v_web serves pages, t2v_worker renders.
-- Run by the owner after every `manage.py migrate`: psql "$T2V_DATABASE_URL" -f deploy/postgres/roles.sql
-- (the first time by somebody who may make roles; then give each a password with \password).
-- A worker that was broken into can then read no password, no token and no secret, and write
-- nothing but the jobs' own columns; a web process can neither change nor delete what was audited.
-- t2v_site/tests/test_security_roles.py runs this file and works as both.

DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 't2v_web') THEN
        CREATE ROLE t2v_web LOGIN CONNECTION LIMIT 200;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 't2v_worker') THEN
        CREATE ROLE t2v_worker LOGIN CONNECTION LIMIT 100;
    END IF;
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO t2v_web, t2v_worker;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM t2v_web, t2v_worker;

-- The web, and the sweep.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO t2v_web;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO t2v_web;
REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM t2v_web;
REVOKE UPDATE, DELETE ON accounts_auditentry FROM t2v_web;

-- The GPU workers. Of people they see who is in which workspace and no name or address; of webhooks
-- whom to tell and not the secret.
GRANT SELECT ON jobs_job, jobs_jobrequest, jobs_jobevent, jobs_attempt, jobs_artifact,
    jobs_checkpoint, jobs_keptpreview, jobs_worker, jobs_delivery TO t2v_worker;
GRANT UPDATE (state, version, attempt, releases, run_at, lease_until, worker, step, progress,
    started_at, finished_at, error_code, error_message) ON jobs_job TO t2v_worker;
GRANT INSERT ON jobs_jobevent, jobs_attempt, jobs_artifact, jobs_delivery TO t2v_worker;
GRANT UPDATE ON jobs_attempt, jobs_worker TO t2v_worker;
GRANT INSERT ON jobs_worker TO t2v_worker;
GRANT INSERT, UPDATE, DELETE ON jobs_checkpoint TO t2v_worker;
GRANT SELECT (id, role, is_active) ON accounts_user TO t2v_worker;
GRANT SELECT (id, user_id, workspace_id, role) ON accounts_membership TO t2v_worker;
-- What an attempt took and its files hold is added up by triggers with the owner's rights. Places to
-- run in (jobs/places.py) are the web's and the sweep's to give: of them a worker only looks.
-- Places that a job's end gives back are given on by the sweep, within seconds: a worker cannot lock a
-- workspace, and says so once in its log.
GRANT SELECT (id, owner_id, disabled_at, events) ON jobs_webhookendpoint TO t2v_worker;
