# syntax=docker/dockerfile:1
# What the driver needs: no torch, no CUDA. Its code comes with each plan, like that of stages. Not built where it was
# written; see k8s/README.md.
#
#   docker build -f k8s/driver.Dockerfile -t REGISTRY/c2f/driver --build-arg PYTHON=python:3.12-slim@sha256:... .
ARG PYTHON

FROM ${PYTHON} AS build
ARG PYTHON
ARG PIP_INDEX_URL=https://pypi.org/simple
ENV PIP_INDEX_URL=${PIP_INDEX_URL} PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN case "${PYTHON}" in *@sha256:*) ;; *) echo "name PYTHON by its digest" >&2; exit 1 ;; esac
RUN python3 -m venv /opt/c2f
COPY k8s/requirements/driver.txt /requirements/
RUN /opt/c2f/bin/pip install --no-deps --require-hashes -r /requirements/driver.txt

FROM ${PYTHON}
COPY --from=build /opt/c2f /opt/c2f
ENV PATH=/opt/c2f/bin:${PATH} HOME=/tmp XDG_CACHE_HOME=/tmp/cache PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:0
CMD ["python3", "--version"]
