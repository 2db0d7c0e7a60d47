# radnode in a container: docker build -t radnode . (for an NVIDIA GPU: --build-arg EXTRA=gpu)
# How to run it: docs/administration.md.

FROM python:3.13-slim-bookworm AS build
ARG EXTRA=cpu
WORKDIR /src
# The dependencies change seldom, so they get a layer of their own.
COPY deploy/install deploy/
COPY Makefile pyproject.toml uv.lock README.md LICENSE ./
RUN deploy/install /opt/radnode "$EXTRA" dependencies
COPY node node
COPY models models
COPY config config
RUN deploy/install /opt/radnode "$EXTRA" all

FROM python:3.13-slim-bookworm
RUN groupadd --gid 10001 radnode \
    && useradd --uid 10001 --gid radnode --home-dir /var/lib/radnode --no-log-init --shell /usr/sbin/nologin radnode \
    && install --directory --owner radnode --group radnode --mode 0700 /var/lib/radnode /etc/radnode
COPY --from=build /opt/radnode /opt/radnode
# Only the paths and what a container needs are set here; the rest is in /etc/radnode.
ENV PATH=/opt/radnode/bin:$PATH \
    RADNODE_DATA=/var/lib/radnode \
    RADNODE_DICOM_HOST=0.0.0.0 \
    RADNODE_LOG_FORMAT=json
USER 10001:10001
RUN radnode init /etc/radnode
VOLUME ["/var/lib/radnode", "/etc/radnode"]
EXPOSE 11112
# Longer than drain_seconds lets open associations and jobs finish: docker stop --time 150
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=60s --timeout=15s --start-period=60s --retries=3 \
    CMD ["python", "-m", "node.doctor.health", "/etc/radnode/node.toml"]
ENTRYPOINT ["radnode"]
CMD ["serve", "--config", "/etc/radnode/node.toml"]
