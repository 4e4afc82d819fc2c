# FreeLLMAPI in a container: docker build -t freellmapi . (docs/deployment.md)
# All dependencies have wheels for amd64 and arm64; nothing here depends on the architecture.
FROM python:3.13.9-slim-bookworm AS build

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY deploy/gunicorn.conf.py deploy/gunicorn.conf.py
COPY freellmapi/ freellmapi/
COPY templates/ templates/
COPY static/ static/
RUN python -m venv /opt/freellmapi \
    && /opt/freellmapi/bin/pip install --require-hashes -r requirements.lock \
    && /opt/freellmapi/bin/pip install --no-deps .

FROM python:3.13.9-slim-bookworm

RUN groupadd --system --gid 10001 freellmapi \
    && useradd --system --uid 10001 --gid freellmapi --home-dir /data --no-create-home freellmapi \
    && install -d -o freellmapi -g freellmapi -m 0700 /data
COPY --from=build /opt/freellmapi /opt/freellmapi
# The image's Python comes without its standard library compiled, and the user below cannot keep
# what Python compiles: once here, as the command line and the server (-OO) need it.
RUN /opt/freellmapi/bin/python -c "import freellmapi.cli, freellmapi.preflight" \
    && /opt/freellmapi/bin/python -OO -X no_debug_ranges -m freellmapi.everything

ENV PATH=/opt/freellmapi/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=3001 \
    FREELLMAPI_DATA_DIR=/data
WORKDIR /data
VOLUME /data
EXPOSE 3001
USER 10001:10001

HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["freellmapi"]
CMD ["serve"]
