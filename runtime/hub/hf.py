"""The Hugging Face Hub, or a mirror of it in `HF_ENDPOINT`.

GET /api/models/<repository>/tree/<commit>?recursive=true    files; large ones with `lfs: {oid: <sha256>, size}`,
                                                             small ones with git's digest as `oid`; pages by `Link`
GET /<repository>/resolve/<commit>/<path>                    the file, or a redirect to storage that takes ranges
https://huggingface.co/docs/hub/api
"""

from __future__ import annotations

import os
from urllib.parse import quote

from c2f_spec.errors import Unreachable
from runtime.hub.download import Hub, RemoteFile, get_page

TOKEN = "HF_TOKEN"  # noqa: S105  the name of the variable


def endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def headers() -> dict[str, str]:
    token = os.environ.get(TOKEN)
    return {"User-Agent": "c2f-spec", **({"Authorization": f"Bearer {token}"} if token else {})}


def files(repository: str, revision: str) -> list[RemoteFile]:
    url = f"{endpoint()}/api/models/{quote(repository)}/tree/{quote(revision, safe='')}?recursive=true"
    what, found = f"{repository}@{revision}", []
    while url:
        page, url = get_page(url, headers(), what, TOKEN)
        try:
            found += [_file(entry) for entry in page if entry["type"] == "file"]
        except (KeyError, TypeError) as error:
            raise Unreachable(
                f"{what}: the hub's list of files is not as documented: no {error}",
                hint="is HF_ENDPOINT a hub?",
            ) from error
    return found


def _file(entry: dict[str, object]) -> RemoteFile:
    lfs = entry.get("lfs")
    if isinstance(lfs, dict):
        return RemoteFile(str(entry["path"]), int(lfs["size"]), str(lfs["oid"]).removeprefix("sha256:"))
    return RemoteFile(str(entry["path"]), int(str(entry["size"])), None, str(entry["oid"]))


def url(repository: str, revision: str, path: str) -> str:
    return f"{endpoint()}/{quote(repository)}/resolve/{quote(revision, safe='')}/{quote(path)}"


HUB = Hub("hf", files, url, headers, TOKEN)
