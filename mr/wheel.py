"""This very package as a wheel, for machines that are to run what is installed here.

A version that was never released, or was changed since, is on no index.
"""

import base64
import csv
import hashlib
import importlib.metadata
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePath
from urllib.parse import unquote, urlsplit

from mr.compatibility import OURS
from mr.errors import UsageError

#: Files of an installed package that tell of its installation here.
_OF_THE_INSTALLATION = frozenset({"INSTALLER", "REQUESTED", "RECORD", "direct_url.json"})
#: The time of every file in the wheel: the same package gives the same bytes.
_EPOCH, _EPOCH_S = (1980, 1, 1, 0, 0, 0), "315532800"


def own_wheel(folder: Path) -> Path:
    """Write the wheel of this package to a folder, and return its path.

    From an installed package it is put together again; of a checkout that is installed as editable
    it is built. Raises UsageError when it is not installed, or cannot be built.
    """
    # A checkout that one stands in looks like a package, but nothing of it was installed.
    found = importlib.metadata.distributions(name=OURS)
    ours = next((one for one in found if one.read_text("RECORD")), None)
    if ours is None:
        raise UsageError(f"{OURS} is not installed here, only importable; install it.")
    checkout = _checkout(ours)
    return _built(checkout, folder) if checkout else _put_together(ours, folder)


def _checkout(ours: importlib.metadata.Distribution) -> Path | None:
    """The folder that an editable package is imported from (PEP 610)."""
    origin = json.loads(ours.read_text("direct_url.json") or "{}")
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlsplit(origin["url"]).path))


def _built(checkout: Path, folder: Path) -> Path:
    # Else it is built in the checkout, with what an earlier build has left there.
    with tempfile.TemporaryDirectory() as elsewhere:
        extra = Path(elsewhere, "extra.cfg")
        extra.write_text(f"[build]\nbuild_base = {elsewhere}/build\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        done = subprocess.run(
            [*command, "--wheel-dir", str(folder), str(checkout)],
            env={**os.environ, "DIST_EXTRA_CONFIG": str(extra), "SOURCE_DATE_EPOCH": _EPOCH_S},
            capture_output=True,
            text=True,
        )
    found = sorted(folder.glob(f"{OURS.replace('-', '_')}-*.whl"))
    if done.returncode or not found:
        raise UsageError(f"{checkout} cannot be built: {done.stderr.strip()[-500:]}")
    return found[-1]


def _put_together(ours: importlib.metadata.Distribution, folder: Path) -> Path:
    """The wheel that a package was installed from (PEP 427)."""
    name = f"{OURS.replace('-', '_')}-{ours.version}"
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    path = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for file in sorted(ours.files or (), key=str):
            if _is_of_the_wheel(file):
                data = Path(ours.locate_file(file)).read_bytes()
                _write(wheel, str(file), data)
                rows.writerow([str(file), f"sha256={_digest(data)}", len(data)])
        name = f"{name}.dist-info/RECORD"
        rows.writerow([name, "", ""])
        _write(wheel, name, record.getvalue().encode())
    return path


def _is_of_the_wheel(file: PurePath) -> bool:
    """Scripts are made anew, byte code too."""
    if ".." in file.parts or file.suffix == ".pyc":
        return False
    return not (file.parts[0].endswith(".dist-info") and file.name in _OF_THE_INSTALLATION)


def _write(wheel: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.external_attr = 0o644 << 16
    wheel.writestr(entry, data, zipfile.ZIP_DEFLATED)


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
