"""The two hubs of released weights. `python -m runtime model add` downloads from them; no stage does.

Hugging Face, or a mirror of it in `HF_ENDPOINT` (https://huggingface.co/docs/hub/api):

    GET /api/models/<repository>/tree/<commit>?recursive=true    files; large ones with `lfs: {oid: <sha256>, size}`,
                                                                 small ones with git's digest as `oid`; pages by `Link`
    GET /<repository>/resolve/<commit>/<path>                    the file, or a redirect to storage that takes ranges

ModelScope, for machines that reach it and not Hugging Face, or another server in `MODELSCOPE_ENDPOINT`, with the requests of
its own client (https://github.com/modelscope/modelscope, modelscope/hub). Its commits are its own: a spec may name the
Hugging Face commit, and `--at` what ModelScope calls the same files; the pin in the lock file holds both to one copy.

    GET /api/v1/models/<repository>/repo/files?Revision=&Recursive=true    {"Code": 200, "Data": {"Files": [{"Path", "Type",
                                                                           "Size", "Sha256"}]}}, folders of type `tree`
    GET /api/v1/models/<repository>/repo?Revision=&FilePath=               the file, or a redirect; takes ranges
"""

from __future__ import annotations

import os
from urllib.parse import quote, urlencode

from c2f_spec.errors import Unreachable
from runtime.hub.download import Hub, RemoteFile, get_page

HF_TOKEN, MODELSCOPE_TOKEN = "HF_TOKEN", "MODELSCOPE_API_TOKEN"


def _headers(agent: str, variable: str) -> dict[str, str]:
    token = os.environ.get(variable)
    return {"User-Agent": agent, **({"Authorization": f"Bearer {token}"} if token else {})}


def _hf_endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _hf_headers() -> dict[str, str]:
    return _headers("c2f-spec", HF_TOKEN)


def _hf_files(repository: str, revision: str) -> list[RemoteFile]:
    url = f"{_hf_endpoint()}/api/models/{quote(repository)}/tree/{quote(revision, safe='')}?recursive=true"
    what, files = f"{repository}@{revision}", []
    while url:
        page, url = get_page(url, _hf_headers(), what, HF_TOKEN)
        try:
            files += [_hf_file(entry) for entry in page if entry["type"] == "file"]
        except (KeyError, TypeError) as error:
            raise Unreachable(
                f"{what}: the hub's list of files is not as documented: missing {error}",
                hint="check that HF_ENDPOINT is a hub",
            ) from error
    return files


def _hf_file(entry: dict[str, object]) -> RemoteFile:
    lfs = entry.get("lfs")
    if isinstance(lfs, dict):
        return RemoteFile(str(entry["path"]), int(lfs["size"]), str(lfs["oid"]).removeprefix("sha256:"))
    return RemoteFile(str(entry["path"]), int(str(entry["size"])), None, str(entry["oid"]))


def _hf_url(repository: str, revision: str, path: str) -> str:
    return f"{_hf_endpoint()}/{quote(repository)}/resolve/{quote(revision, safe='')}/{quote(path)}"


def _modelscope_headers() -> dict[str, str]:
    return _headers("modelscope/1 c2f-spec", MODELSCOPE_TOKEN)


def _modelscope_files(repository: str, revision: str) -> list[RemoteFile]:
    query = urlencode({"Revision": revision, "Recursive": "true"})
    what = f"{repository}@{revision}"
    page, _ = get_page(
        f"{_modelscope_repository(repository)}/files?{query}", _modelscope_headers(), what, MODELSCOPE_TOKEN
    )
    try:
        entries = [entry for entry in page["Data"]["Files"] if entry["Type"] == "blob"]
        files = [RemoteFile(entry["Path"], int(entry["Size"]), entry["Sha256"]) for entry in entries]
    except (KeyError, TypeError) as error:
        message = page.get("Message") if isinstance(page, dict) else None
        raise Unreachable(
            f"{what}: ModelScope lists no files: {message or f'missing {error}'}",
            hint="check the repository and `--revision`; `--at master` takes the newest",
        ) from error
    if not files:
        raise Unreachable(f"{what}: ModelScope lists no files", hint="check the repository and `--revision`")
    return files


def _modelscope_url(repository: str, revision: str, path: str) -> str:
    return f"{_modelscope_repository(repository)}?{urlencode({'Revision': revision, 'FilePath': path})}"


def _modelscope_repository(repository: str) -> str:
    endpoint = os.environ.get("MODELSCOPE_ENDPOINT", "https://www.modelscope.cn").rstrip("/")
    return f"{endpoint}/api/v1/models/{quote(repository)}/repo"


HUBS: dict[str, Hub] = {
    "hf": Hub("hf", _hf_files, _hf_url, _hf_headers, HF_TOKEN),
    "modelscope": Hub(
        "modelscope", _modelscope_files, _modelscope_url, _modelscope_headers, MODELSCOPE_TOKEN
    ),
}
