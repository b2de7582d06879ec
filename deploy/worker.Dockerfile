# syntax=docker/dockerfile:1
# The GPU worker. From the root of the repository:
#
#   docker build -f deploy/worker.Dockerfile -t t2v-worker .
#   docker build … --build-arg TORCH=torch==2.13.0+cpu --build-arg TORCH_INDEX_URL=…   no GPU, 1 GB
#
# PyTorch's wheels bring the CUDA libraries that they were built with; the driver's own come from the
# host, put in by NVIDIA's container toolkit. So the base is the Python that the suite runs on and no
# CUDA image: its libraries would lie there a second time, 3 GB that nothing loads. There is no C
# compiler either: `compile = true` in models.toml needs one, so a model with it asks for an image of
# your own, `FROM` this one.

FROM python:3.11.16-slim-bookworm AS dependencies
ARG TORCH=torch==2.13.0
ARG TORCH_INDEX_URL=
WORKDIR /build
RUN python -m venv --without-pip /opt/t2v \
    && echo "$TORCH" >torch.txt \
    && pip --python /opt/t2v/bin/python install --no-cache-dir --quiet \
        ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} -r torch.txt
COPY .ci/requirements.py constraints.txt pyproject.toml ./
RUN python requirements.py worker traces >requirements.txt \
    && pip --python /opt/t2v/bin/python install --no-cache-dir --quiet \
        -c constraints.txt -r requirements.txt

FROM dependencies AS code
WORKDIR /app
COPY manage.py pyproject.toml ./
COPY accounts accounts
COPY deploy/models.toml deploy/models.toml
COPY gpu_worker gpu_worker
COPY jobs jobs
COPY t2v_site t2v_site
# It serves no page, so neither templates nor static files; the settings name the folder all the same.
RUN mkdir static && /opt/t2v/bin/python -m compileall -q accounts gpu_worker jobs manage.py t2v_site

FROM python:3.11.16-slim-bookworm AS worker
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Text-to-Video Orchestrator: the GPU worker" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
RUN useradd --uid 10001 --no-create-home --home-dir /var/lib/t2v --shell /usr/sbin/nologin t2v \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/t2v /var/lib/t2v/models
COPY --from=dependencies /opt/t2v /opt/t2v
COPY --from=code /app /app
# One thread: a render's bits depend on the number (T2V_TORCH_THREADS says the same to torch).
ENV PATH=/opt/t2v/bin:$PATH \
    HOME=/var/lib/t2v \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    NVIDIA_VISIBLE_DEVICES=all \
    OMP_NUM_THREADS=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    T2V_ENV=production \
    T2V_LOG_FORMAT=json \
    T2V_VAR=/var/lib/t2v
WORKDIR /app
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=600s --retries=3 \
    CMD ["python", "manage.py", "healthy", "worker"]
# The shell gives its place to Celery (exec), which so gets SIGTERM itself.
CMD ["sh", "-c", "exec python -m celery --quiet -A t2v_site worker --loglevel WARNING --without-mingle --without-gossip -Q gpu.${T2V_POOL:-default}"]
