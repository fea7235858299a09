"""Start a pod: fetch the reviewed code from the store, verify it, and become the program that it holds.

    python boot.py --store URL --code DIGEST [--stage FILE --digest DIGEST | --bundle FOLDER] MODULE ARGUMENT...

Travels in the ConfigMap beside `stage.json`, so the image holds dependencies only. Needs Python alone for a store that
is a folder, and `obstore` for one in a bucket. Writes below $C2F_SCRATCH and nowhere else. Ends with the exit codes of
a stage: 64 if the stage file is not the file that was rendered, 75 if the store cannot be read or is wrong.
"""

import argparse
import hashlib
import io
import json
import os
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any, NoReturn

SPEC, TRANSIENT = 64, 75


def main(argv: list[str]) -> NoReturn:
    parser = argparse.ArgumentParser(prog="boot.py")
    parser.add_argument("--store", required=True, help="URL of the store")
    parser.add_argument("--code", required=True, help="SHA-256 of the bundle code/<digest>.zip")
    parser.add_argument("--stage", type=Path, help="a stage file; its copy is the module's first argument")
    parser.add_argument("--digest", help="SHA-256 of the stage file")
    parser.add_argument("--bundle", type=Path, help="folder of compressed files: plan and code")
    parser.add_argument("module", help="what to run")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its arguments")
    args = parser.parse_args(argv)
    scratch = Path(os.environ.get("C2F_SCRATCH", "/scratch"))
    make_folders(scratch)
    stage = [str(write_stage(args.stage, args.digest, args.store, scratch))] if args.stage else []
    if args.bundle:
        decompress(args.bundle, scratch / "bundle")
    code = unpack_code(args.store, args.code, scratch)
    path = os.pathsep.join(filter(None, [str(code), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", args.module, *stage, *args.arguments]
    os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": path})  # noqa: S606  this process becomes it


def make_folders(scratch: Path) -> None:
    """Make the folders that variables name (HOME, TMPDIR, caches), which an empty volume does not have."""
    for value in os.environ.values():
        if value.startswith(f"{scratch}/"):
            Path(value).mkdir(parents=True, exist_ok=True)
    scratch.mkdir(parents=True, exist_ok=True)


def write_stage(path: Path, digest: str, store: str, scratch: Path) -> Path:
    """Verify the stage file as rendered, and write it with the folder and the store of this pod."""
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        end(SPEC, f"{path} is not the stage file that was rendered (SHA-256 {digest})")
    own = scratch / "stage.json"
    own.write_text(json.dumps({**json.loads(data), "store": store, "scratch": f"{scratch}/work"}, indent=1))
    return own


def decompress(folder: Path, out: Path) -> None:
    """Decompress NAME.z to `out`/NAME."""
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob("*.z")):
        (out / path.stem).write_bytes(zlib.decompress(path.read_bytes()))


def unpack_code(store: str, digest: str, scratch: Path) -> Path:
    """Return `scratch`/code/<digest> with the files of the code, from the bundle or the store; it appears whole."""
    folder, local = scratch / "code", scratch / "bundle" / f"{digest}.zip"
    code = folder / digest
    if code.is_dir():
        return code
    name = f"code/{digest}.zip"
    try:
        data = local.read_bytes() if local.is_file() else fetch(store, name)
    except Exception as error:  # noqa: BLE001  every client has errors of its own
        end(TRANSIENT, f"cannot read {name} from {store}: {type(error).__name__}: {error}")
    if hashlib.sha256(data).hexdigest() != digest:
        end(TRANSIENT, f"{name} from {store} has another digest")
    part = folder / f"{digest}.{os.getpid()}.part"
    with zipfile.ZipFile(io.BytesIO(data)) as bundle:
        bundle.extractall(part)
    part.rename(code)
    return code


def fetch(store: str, name: str) -> bytes:
    """Return the bytes of an object. Credentials and endpoint come from variables, as for every client of S3."""
    if folder := folder_of(store):
        return Path(folder, name).read_bytes()
    import obstore

    return bytes(obstore.get(bucket(store), name).bytes())


def bucket(store: str) -> Any:
    """Return a client of the bucket, by the variables that `c2f_spec.store.s3_requests` heeds once the code is here."""
    from obstore.store import S3Store

    name, _, prefix = store.removeprefix("s3://").partition("/")
    config: Any = {"region": os.environ.get("AWS_REGION", "us-east-1")}
    options: Any = {}
    if url := os.environ.get("AWS_ENDPOINT_URL"):
        scheme, _, host = url.partition("://")
        virtual = os.environ.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST") == "true"
        config["endpoint"] = f"{scheme}://{name}.{host}" if virtual else url
        options["allow_http"] = scheme == "http"
    if authorities := os.environ.get("AWS_CA_BUNDLE"):
        options["root_certificate"] = Path(authorities).read_bytes()
    return S3Store(name, prefix=prefix or None, config=config, client_options=options)


def folder_of(store: str) -> str | None:
    """Return the path of a store in a folder of this machine; `None` for a store in a bucket."""
    scheme, separator, rest = store.partition("://")
    return (rest if separator else store) if not separator or scheme in ("file", "local") else None


def end(code: int, message: str) -> NoReturn:
    print(f"boot: {message}", flush=True)
    sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
