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

TUTORIAL = Path(__file__).parent.parent / "docs/tutorial.ipynb"
#: A cell that takes longer hangs.
CELL_TIMEOUT_S = 240
#: What of the person's own settings must not change what comes out.
OWN = ("MR_TELEMETRY_", "AWS_", "XDG_", "MPL", "JUPYTER", "IPYTHON")


def environment(home: Path) -> dict[str, str]:
    """The environment of a kernel that belongs to nobody, with this Python's commands."""
    found = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
    commands = Path(sys.executable).parent
    return {**found, "HOME": str(home), "PATH": f"{commands}{os.pathsep}{found['PATH']}"}


def execute(
    notebook: NotebookNode, folder: Path, *, allow_errors: bool = False, **variables: str
) -> NotebookNode:
    """Run all cells in `folder` from a clean kernel; the notebook then has what came out.

    `variables` are more of the kernel's environment. Raises CellExecutionError.
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
    client.execute(env=environment(home) | variables)
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
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", []):
            output.pop("transient", None)
            # The size in points is for the page alone.
            if "metadata" in output:
                output.metadata = {}
    return notebook


def main() -> None:
    """Run the tutorial, and save it."""
    with tempfile.TemporaryDirectory() as folder:
        nbformat.write(tidy(execute(read(), Path(folder))), TUTORIAL)
    print(f"Wrote {TUTORIAL} ({TUTORIAL.stat().st_size / 1e3:,.0f} kB).")


if __name__ == "__main__":
    main()
