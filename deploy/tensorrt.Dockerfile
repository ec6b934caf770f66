# Builds TensorRT engines in the very container that serves them: docs/tensorrt.md.
# Never a part of the service's image, and not a stage of its Dockerfile either: builders without BuildKit build every
# stage that stands above, and this one begins with NVIDIA's container.
ARG TRITON_TAG=26.08-py3

FROM nvcr.io/nvidia/tritonserver:${TRITON_TAG} AS export
ARG BINDINGS=tensorrt-cu13-bindings
# For containers that do not say it themselves.
ARG TRT_VERSION
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONPATH=/app:/opt/packages
# No torch: engines are made of ONNX graphs.
RUN python3 -m pip install --target /opt/packages onnx==1.23.2 "tritonclient[grpc]==2.73.0"
# Where the container has TensorRT's libraries alone, the bindings for just these.
RUN python3 -c "import tensorrt" \
    || { : "${TRT_VERSION:?is not set in this container: name the version of its TensorRT by --build-arg}" \
    && python3 -m pip install --target /opt/packages --no-deps "${BINDINGS}==${TRT_VERSION%%+*}"; }
WORKDIR /app
COPY xmdpt xmdpt
COPY export export
USER 10001:10001
ENTRYPOINT ["python3", "-m", "export", "tensorrt"]
CMD ["--help"]
