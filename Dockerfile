# One image for every role: `gateway`, `worker`, or `all` with a queue of its own.
# A folder wheels/ is optional: with it and --build-arg PIP_NO_INDEX=1 the build asks no package index.
ARG BASE=python:3.11-slim

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
# For another device: `gpu`, whose runtime takes the place of the CPU's, or `triton`. Hashes are not checked here.
RUN if [ "$EXTRA" = gpu ]; then /opt/venv/bin/pip uninstall --yes onnxruntime; fi \
    && if [ -n "$EXTRA" ]; then /opt/venv/bin/pip install ".[$EXTRA]"; fi

FROM ${BASE}
RUN groupadd --gid 10001 xmdpt \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin xmdpt \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=build /opt/venv /opt/venv
COPY deploy/healthcheck.py /app/healthcheck.py
COPY model_repository /app/model_repository
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
EXPOSE 8080 8082
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 CMD ["python3", "/app/healthcheck.py"]
ENTRYPOINT ["xmdpt-serve"]
CMD ["all"]
