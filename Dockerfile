# An image for each role: --target gateway, worker, worker-gpu or export. Without a target it is a whole service, `all`.
# Builders without BuildKit build every stage that stands above the target; so the large ones stand last.
# A folder wheels/ is optional: with it and --build-arg PIP_NO_INDEX=1 the build asks no package index.
ARG BASE=python:3.11-slim
# What a GPU's worker stands on: CUDA and cuDNN are packages of its environment, the driver is the host's.
ARG GPU_BASE=${BASE}

FROM ${BASE} AS build
ARG PIP_NO_INDEX
ARG EXTRA
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_FIND_LINKS=/build/wheels \
    PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python3 -m venv /opt/venv
# The dependencies first: they change less often than the code. A pattern, unlike a name, may match nothing.
COPY requirements.lock wheels/*.whl wheels/
RUN /opt/venv/bin/pip install --require-hashes -r wheels/requirements.lock
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY xmdpt xmdpt
COPY xmdpt_client xmdpt_client
COPY service service
RUN /opt/venv/bin/pip install --no-deps .
# What a deployment adds: `triton`, `tracing`. Hashes are not checked here.
RUN if [ "$EXTRA" = gpu ]; then echo "build --target worker-gpu instead of EXTRA=gpu" >&2; exit 1; fi \
    && if [ -n "$EXTRA" ]; then /opt/venv/bin/pip install ".[$EXTRA]"; fi

FROM ${BASE} AS serving
RUN groupadd --gid 10001 xmdpt \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin xmdpt \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=build /opt/venv /opt/venv
COPY deploy/healthcheck.py /app/healthcheck.py
# Only a published port leaves the container's network, so inside of it every address may be listened on.
ENV PATH=/opt/venv/bin:$PATH \
    XMDPT_DATA_DIR=/data \
    XMDPT_GATEWAY__HOST=0.0.0.0 \
    XMDPT_LOG_FORMAT=json \
    XMDPT_MODEL_REPOSITORY=/app/model_repository \
    XMDPT_WORKER__OPS_HOST=0.0.0.0
WORKDIR /app
USER 10001:10001
# Pictures and the embedded queue's log: the one place that is written, so the root may be read-only.
VOLUME ["/data"]
# Of the processes of its role.
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 CMD ["python3", "/app/healthcheck.py"]
ENTRYPOINT ["xmdpt-serve"]

# It names the model in its answers and runs none of it.
FROM serving AS gateway
COPY model_repository/MANIFEST.json /app/model_repository/MANIFEST.json
EXPOSE 8080
CMD ["gateway"]

FROM serving AS worker
COPY model_repository /app/model_repository
EXPOSE 8082
CMD ["worker"]

FROM worker AS all
EXPOSE 8080
CMD ["all"]

# Builds and checks model repositories. Torch and what it asks for are not pinned by hashes.
FROM build AS export
COPY export export
RUN /opt/venv/bin/pip install ".[export]"
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/tmp
WORKDIR /work
USER 10001:10001
ENTRYPOINT ["python3", "-m", "export"]
CMD ["--help"]

FROM ${GPU_BASE} AS build-gpu
ARG PIP_NO_INDEX
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_FIND_LINKS=/build/wheels \
    PIP_NO_CACHE_DIR=1
COPY --from=build /build /build
WORKDIR /build
# The GPU's runtime takes the place of the CPU's; its hashes are not checked.
RUN python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --require-hashes -r wheels/requirements.lock \
    && /opt/venv/bin/pip uninstall --yes onnxruntime \
    && /opt/venv/bin/pip install ".[gpu]"

# As `serving` and `worker`, on the other base; without a GPU it does not start.
FROM ${GPU_BASE} AS worker-gpu
RUN groupadd --gid 10001 xmdpt \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin xmdpt \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=build-gpu /opt/venv /opt/venv
COPY deploy/healthcheck.py /app/healthcheck.py
COPY model_repository /app/model_repository
ENV PATH=/opt/venv/bin:$PATH \
    XMDPT_DATA_DIR=/data \
    XMDPT_GATEWAY__HOST=0.0.0.0 \
    XMDPT_LOG_FORMAT=json \
    XMDPT_MODEL_REPOSITORY=/app/model_repository \
    XMDPT_WORKER__OPS_HOST=0.0.0.0 \
    XMDPT_WORKER__PROVIDER=cuda
WORKDIR /app
USER 10001:10001
VOLUME ["/data"]
EXPOSE 8082
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 CMD ["python3", "/app/healthcheck.py"]
ENTRYPOINT ["xmdpt-serve"]
CMD ["worker"]

# What is built without a target.
FROM all
