# syntax=docker/dockerfile:1
# The runtime's dependencies without CUDA, for clusters without GPUs (`--on kind`): a tenth of the size. Not built where
# it was written; see k8s/README.md.
#
#   docker build -f k8s/cpu.Dockerfile -t localhost:5001/c2f/runtime --build-arg PYTHON=python:3.12-slim@sha256:... .
ARG PYTHON

FROM ${PYTHON} AS build
ARG PYTHON
ARG PIP_INDEX_URL=https://pypi.org/simple
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
ENV PIP_INDEX_URL=${PIP_INDEX_URL} PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN case "${PYTHON}" in *@sha256:*) ;; *) echo "name PYTHON by its digest" >&2; exit 1 ;; esac
RUN python3 -m venv /opt/c2f
COPY pyproject.toml constraints.txt README.md /src/
COPY c2f_spec /src/c2f_spec
COPY runtime /src/runtime
# torch comes from an index of its own, whose wheels have other hashes than those of PyPI: pinned by version only. Our
# own package goes again: code comes with each experiment.
RUN /opt/c2f/bin/pip install -c /src/constraints.txt torch torchvision --index-url "${TORCH_INDEX_URL}" \
 && /opt/c2f/bin/pip install -c /src/constraints.txt '/src[runtime,k8s,s3]' \
 && /opt/c2f/bin/pip uninstall -y c2f-spec

FROM ${PYTHON}
COPY --from=build /opt/c2f /opt/c2f
ENV PATH=/opt/c2f/bin:${PATH} HOME=/tmp XDG_CACHE_HOME=/tmp/cache PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:0
CMD ["python3", "--version"]
