# Each RUN is a script of .ci/, run by `make test` too (tests/setup/test_image.py), or useradd.

FROM node:22-slim AS console
WORKDIR /src
COPY .ci .ci
COPY agent_ui agent_ui
RUN .ci/console

FROM python:3.13-slim AS wheel
WORKDIR /src
COPY . .
COPY --from=console /src/paylink/console paylink/console
RUN .ci/build-wheel dist
RUN .ci/install-wheel dist /opt/venv

# The same base as above, because /opt/venv points at its Python; nothing of what built it comes along.
FROM python:3.13-slim
RUN useradd --uid 1001 --create-home paylink
COPY --from=wheel /opt/venv /opt/venv
USER paylink
WORKDIR /home/paylink
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PAYLINK_CONSOLE_BIND=0.0.0.0:8000 \
    PAYLINK_CHECKOUT_BIND=0.0.0.0:8001
EXPOSE 8000 8001
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["paylink"]
CMD ["serve"]
