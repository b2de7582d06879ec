# syntax=docker/dockerfile:1
# The site: web, live, sender, sweep and migrations are this one image with another command each
# (deploy/compose.yaml). Without torch: 0.4 GB. From the root of the repository:
#
#   docker build -f deploy/site.Dockerfile -t t2v-site .
#
# The base is the Python that the suite runs on. Its version is pinned here; what its digest was is
# written into each release's provenance, and Dependabot moves the version on.

FROM python:3.11.16-slim-bookworm AS dependencies
WORKDIR /build
COPY .ci/requirements.py constraints.txt pyproject.toml ./
# Without pip in it: what runs can install nothing.
RUN python -m venv --without-pip /opt/t2v \
    && python requirements.py traces >requirements.txt \
    && pip --python /opt/t2v/bin/python install --no-cache-dir --quiet \
        -c constraints.txt -r requirements.txt

FROM dependencies AS code
WORKDIR /app
COPY manage.py pyproject.toml ./
COPY accounts accounts
COPY deploy/models.toml deploy/models.toml
COPY gpu_worker gpu_worker
COPY jobs jobs
COPY static static
COPY t2v_site t2v_site
COPY templates templates
# The three that settings.py insists on mean nothing here: nothing is connected to, and none is kept.
# Compiled as well, for the folder is read-only later.
RUN export T2V_ENV=production T2V_BASE_URL=https://build.invalid T2V_STATIC=/app/collected \
        T2V_DATABASE_URL=postgresql://build.invalid/none T2V_REDIS_URL=redis://build.invalid \
    && T2V_SECRET_KEY="$(python -c 'import secrets; print(secrets.token_urlsafe(50))')" \
        /opt/t2v/bin/python manage.py collectstatic --noinput --verbosity 0 \
    && /opt/t2v/bin/python -m compileall -q accounts gpu_worker jobs manage.py t2v_site

FROM python:3.11.16-slim-bookworm AS site
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Text-to-Video Orchestrator: the site" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
# A number, so that Kubernetes can see that it is not root.
RUN useradd --uid 10001 --no-create-home --home-dir /var/lib/t2v --shell /usr/sbin/nologin t2v \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/t2v
COPY --from=dependencies /opt/t2v /opt/t2v
COPY --from=code /app /app
ENV PATH=/opt/t2v/bin:$PATH \
    HOME=/var/lib/t2v \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    T2V_ENV=production \
    T2V_LOG_FORMAT=json \
    T2V_STATIC=/app/collected \
    T2V_VAR=/var/lib/t2v
WORKDIR /app
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "manage.py", "healthy", "site"]
CMD ["python", "-m", "daphne", "-b", "0.0.0.0", "-p", "8000", "--verbosity", "0", "t2v_site.asgi:application"]
