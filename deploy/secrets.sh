#!/bin/sh
# Makes the secrets of compose.yaml, each a file in deploy/secrets/; what is there already is kept.
# Back the folder up: without t2v_secret_key sessions end and webhooks' secrets cannot be read.
set -eu
umask 022
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets
cd secrets

made() { # NAME VALUE: once, readable for the containers' users; the folder is closed for others
    [ -e "$1" ] && return
    printf '%s' "$2" >".$1.new"
    chmod 444 ".$1.new"
    mv ".$1.new" "$1"
    echo "made secrets/$1"
}

random() { # BYTES: twice as many hexadecimal digits, good in every URL
    od -An -N "$1" -t x1 /dev/urandom | tr -d ' \n'
}

made t2v_secret_key "$(random 48)"
made t2v_metrics_token "$(random 32)"
made t2v_grafana_password "$(random 16)"
made t2v_s3_access_key "$(random 10)"
made t2v_s3_secret_key "$(random 32)"
made t2v_smtp_url "" # empty: mails are printed in the log; else smtp://user:password@host:587

made t2v_postgres_password "$(random 32)"
made t2v_postgres_password_web "$(random 32)"
made t2v_postgres_password_worker "$(random 32)"
made t2v_database_url_owner "postgresql://t2v:$(cat t2v_postgres_password)@postgres:5432/t2v"
made t2v_database_url_web "postgresql://t2v_web:$(cat t2v_postgres_password_web)@postgres:5432/t2v"
made t2v_database_url_worker \
    "postgresql://t2v_worker:$(cat t2v_postgres_password_worker)@postgres:5432/t2v"

# docs/howto/own-services.md explains the two; the third can ask whether Redis lives, and nothing else.
made t2v_redis_url_web "redis://t2v_web:$(random 32)@redis:6379/0"
made t2v_redis_url_worker "redis://t2v_worker:$(random 32)@redis:6379/0"
password() { sed 's|.*://[^:]*:\([^@]*\)@.*|\1|' "$1"; }
made t2v_redis_acl "user default off
user t2v_web on >$(password t2v_redis_url_web) ~t2v:* ~t2v* &* +@all -@dangerous -@admin +info
user t2v_worker on >$(password t2v_redis_url_worker) ~t2v:celery:* ~t2v:ring* ~t2v:preview:* resetchannels &t2v:celery:* +@all -@dangerous -@admin +info
user health on >health -@all +ping
"
