# syntax=docker/dockerfile:1
#
#   docker build -t collector-sidecar:0.1.0 .
#
# Before a model server on this machine (here on port 8501), with the page on http://127.0.0.1:9901/, which asks for
# the token; the model must listen on more than loopback, as the container comes from outside:
#
#   export SIDECAR_ADMIN_TOKEN=$(openssl rand -hex 16) && echo "$SIDECAR_ADMIN_TOKEN"
#   docker run --rm --stop-timeout 55 -p 127.0.0.1:9080:9080 -p 127.0.0.1:9901:9901 \
#     --add-host host.docker.internal:host-gateway -e SIDECAR_UPSTREAM=http://host.docker.internal:8501 \
#     -e SIDECAR_ADMIN=0.0.0.0:9901 -e SIDECAR_ADMIN_TOKEN \
#     -v "$PWD/policies:/policies:ro" -v sidecar-data:/data collector-sidecar:0.1.0
#
# The stop timeout leaves room for SIDECAR_DRAIN_DELAY, SIDECAR_GRACE and what the engine still has to write.

FROM python:3.12-slim-bookworm AS build
WORKDIR /src
# without pip: nothing that installs software goes into the final image with the environment
RUN python -m venv --without-pip /venv
COPY pyproject.toml README.md ./
COPY .github/LICENSE .github/
COPY sidecar sidecar
# what destinations and operators need beyond the product itself: --build-arg EXTRAS=cloudevents,postgresql
ARG EXTRAS=""
RUN pip --python /venv/bin/python install --no-cache-dir ".${EXTRAS:+[$EXTRAS]}"

FROM python:3.12-slim-bookworm
COPY --from=build /venv /venv
# a volume made of /data takes its owner from here
RUN install -d -o 65532 -g 65532 -m 0750 /data && install -d /policies
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SIDECAR_LISTEN=0.0.0.0:9080 \
    SIDECAR_PROBES=127.0.0.1:9902 \
    SIDECAR_POLICIES=/policies \
    SIDECAR_DATA=/data
VOLUME /data
# a number, so that Kubernetes can see that it is not root
USER 65532:65532
EXPOSE 9080 9901 9902
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['SIDECAR_PROBES'].rpartition(':')[2] + '/healthz', timeout=2)"]
ENTRYPOINT ["sidecar"]
CMD ["run"]
