"""Notebooks run from a clean kernel: this very Python, in a folder and a home of their own.

`python tests/notebooks.py` runs docs/tutorial.ipynb so, and saves it with what came out.
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

from mr.kernel.building import SWITCH

TUTORIAL = Path(__file__).parent.parent / "docs/tutorial.ipynb"
#: A cell that takes longer hangs.
CELL_TIMEOUT_S = 240
#: What of the person's own settings must not change what comes out.
OWN = ("MR_TELEMETRY_", "AWS_", "XDG_", "MPL", "JUPYTER", "IPYTHON")


def environment(home: Path) -> dict[str, str]:
    """The environment of a kernel that belongs to nobody, with this Python's commands."""
    found = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
    commands = Path(sys.executable).parent
    return {
        **found,
        "HOME": str(home),
        "PATH": f"{commands}{os.pathsep}{found['PATH']}",
        SWITCH: "0",  # else each home would have the compiled code built, for ten seconds
    }


def execute(notebook: NotebookNode, folder: Path, *, allow_errors: bool = False) -> NotebookNode:
    """Run all cells from a clean kernel in `folder`; the notebook then has what came out.

    Its home is `folder/home`, and it works in `folder/work`. Raises CellExecutionError.
    """
    home = folder / "home"
    home.mkdir()
    work = folder / "work"
    work.mkdir()
    manager = AsyncKernelManager(kernel_name="python3")
    manager.kernel_spec_manager.kernel_dirs = []  # none but that of this very Python
    client = NotebookClient(
        notebook,
        km=manager,
        timeout=CELL_TIMEOUT_S,
        allow_errors=allow_errors,
        record_timing=False,
        resources={"metadata": {"path": str(work)}},
    )
    client.execute(cleanup_kc=True, env=environment(home))
    return notebook


def read(path: Path = TUTORIAL) -> NotebookNode:
    """A notebook as it is saved."""
    return nbformat.read(path, as_version=4)


def texts(cell: NotebookNode, kind: str = "text/plain") -> list[str]:
    """What a cell has shown: its values and displays of a kind, or what it has printed."""
    if kind in ("stdout", "stderr"):
        return [one.text for one in cell.outputs if one.get("name") == kind]
    return [one.data[kind] for one in cell.outputs if kind in one.get("data", {})]


def tidy(notebook: NotebookNode) -> NotebookNode:
    """The notebook without what differs between machines."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "pygments_lexer": "ipython3"},
    }
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
    return notebook


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """What was printed comes in pieces, cut by chance."""
    joined: list[NotebookNode] = []
    for one in outputs:
        if "metadata" in one:
            one.metadata = {}  # how large a picture is on the page
        if "text" in one:
            one.text = one.text.replace("\r\n", "\n")
        if joined and "name" in one and joined[-1].get("name") == one.name:
            joined[-1].text += one.text
        else:
            joined.append(one)
    return joined


def main() -> None:
    """Run the tutorial, and save it."""
    with tempfile.TemporaryDirectory() as folder:
        nbformat.write(tidy(execute(read(), Path(folder))), TUTORIAL)
    print(f"Wrote {TUTORIAL} ({TUTORIAL.stat().st_size / 1e3:,.0f} kB).")


if __name__ == "__main__":
    main()
