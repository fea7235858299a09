"""Copies of the data sets that may be fetched -> a folder. Run by hand through `data add`, never by a stage.

The ICWSM 2014 ratings lie in the source distribution of vaderSentiment 2.5 on PyPI. pip downloads it: it knows the
mirrors, proxies and certificates of this machine. Its hash is pinned here, and pip compares it before it unpacks or
runs anything of the archive (pip then asks the archive's setup.py for its name). Nothing else is downloaded: no
dependencies, and no build tools, which pip would take without a hash; setuptools must be installed.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

from c2f_spec.errors import DataWrong, Unreachable
from runtime.datasets import icwsm2014

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SDIST = "vaderSentiment==2.5 --hash=sha256:b960c954831f5ca58afee61780cc04ed48e551b91e783bfcbfb2c18bb8081a84"
NESTED = "vaderSentiment-2.5/additional_resources/hutto_ICWSM_2014.tar.gz"
FOLDER = "hutto_ICWSM_2014"
PIP = (
    "-m", "pip", "download", "--disable-pip-version-check", "--quiet", "--retries", "2", "--require-hashes",
    "--no-deps", "--no-binary", ":all:", "--no-build-isolation",
)  # fmt: skip


def icwsm2014_ratings(scratch: Path) -> Path:
    """Download into `scratch`; returns the folder with the four files. Raises `Unreachable` without a network."""
    requirements = scratch / "requirements.txt"
    requirements.write_text(f"{SDIST}\n")
    done = subprocess.run(
        [sys.executable, *PIP, "--dest", str(scratch), "--requirement", str(requirements)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise _failed(done.stderr)
    return unpack(scratch / "vaderSentiment-2.5.tar.gz", scratch)


def unpack(sdist: Path, scratch: Path) -> Path:
    """The folder with the files of ratings, taken out of the archive inside the archive."""
    wanted = {f"{FOLDER}/{file}" for file in icwsm2014.FILES.values()}
    try:
        with tarfile.open(sdist) as outer:
            inner_file = outer.extractfile(NESTED)
            assert inner_file is not None
            with tarfile.open(fileobj=inner_file) as inner:
                # Read, not extracted: the `filter` that makes extraction safe came with Python 3.11.4.
                for member in inner:
                    file = inner.extractfile(member) if member.name in wanted else None
                    if file is not None:
                        (scratch / FOLDER).mkdir(parents=True, exist_ok=True)
                        (scratch / member.name).write_bytes(file.read())
    except (OSError, KeyError, tarfile.TarError) as error:
        raise DataWrong(
            f"{sdist.name} does not hold {NESTED}: {error}", hint="report this: the hash is pinned"
        ) from error
    return scratch / FOLDER


def _failed(stderr: str) -> DataWrong | Unreachable:
    if "DO NOT MATCH THE HASHES" in stderr:
        return DataWrong(
            "the vaderSentiment 2.5 that was downloaded is not the one pinned in runtime/datasets/fetch.py",
            hint="do not use it; ask who runs your package index",
        )
    lines = [line for line in stderr.splitlines() if "ERROR" in line or "No module named" in line]
    reason = lines[-1].removeprefix("ERROR: ").strip() if lines else "pip failed without a reason"
    return Unreachable(
        f"cannot download vaderSentiment 2.5 from the package index: {reason}",
        hint="with no network, put the `*_GroundTruth.txt` files (in that archive: "
        f"{NESTED.split('/', 1)[1]}) into a folder ./icwsm2014 and run: c2f-spec data add NAME... --from ./icwsm2014",
    )


FETCH: dict[str, Callable[[Path], Path]] = {"icwsm2014": icwsm2014_ratings}
"""By `Dataset.reader`."""
