"""ModelScope, for machines that reach it and not the Hugging Face Hub; or another server in `MODELSCOPE_ENDPOINT`.

GET /api/v1/models/<repository>/repo/files?Revision=&Recursive=true    {"Code": 200, "Data": {"Files": [{"Path", "Type",
                                                                       "Size", "Sha256"}]}}, folders of type `tree`
GET /api/v1/models/<repository>/repo?Revision=&FilePath=               the file, or a redirect; takes ranges
As its own client asks (https://github.com/modelscope/modelscope, modelscope/hub). Its commits are its own: a spec may
name the Hugging Face commit, and `--at` what ModelScope calls the same files; the pin of the lock holds both to one copy.
"""

from __future__ import annotations

import os
from urllib.parse import quote, urlencode

from c2f_spec.errors import Unreachable
from runtime.hub.download import Hub, RemoteFile, get_page

TOKEN = "MODELSCOPE_API_TOKEN"  # noqa: S105  the name of the variable


def endpoint() -> str:
    return os.environ.get("MODELSCOPE_ENDPOINT", "https://www.modelscope.cn").rstrip("/")


def headers() -> dict[str, str]:
    token = os.environ.get(TOKEN)
    return {"User-Agent": "modelscope/1 c2f-spec", **({"Authorization": f"Bearer {token}"} if token else {})}


def files(repository: str, revision: str) -> list[RemoteFile]:
    query = urlencode({"Revision": revision, "Recursive": "true"})
    what = f"{repository}@{revision}"
    page, _ = get_page(f"{_repo(repository)}/files?{query}", headers(), what, TOKEN)
    try:
        found = [
            RemoteFile(f["Path"], int(f["Size"]), f["Sha256"])
            for f in page["Data"]["Files"]
            if f["Type"] == "blob"
        ]
    except (KeyError, TypeError) as error:
        said = page.get("Message") if isinstance(page, dict) else None
        raise Unreachable(
            f"{what}: ModelScope lists no files: {said or f'no {error}'}",
            hint="check the repository and `--revision`; `--at master` takes the newest",
        ) from error
    if not found:
        raise Unreachable(f"{what}: ModelScope lists no files", hint="check the repository and `--revision`")
    return found


def url(repository: str, revision: str, path: str) -> str:
    return f"{_repo(repository)}?{urlencode({'Revision': revision, 'FilePath': path})}"


def _repo(repository: str) -> str:
    return f"{endpoint()}/api/v1/models/{quote(repository)}/repo"


HUB = Hub("modelscope", files, url, headers, TOKEN)
