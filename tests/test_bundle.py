"""The code bundle: what is packed here runs in a process that knows nothing of it."""

import os
import subprocess
import sys
import textwrap
import threading

import pytest

from mr.analysis import Analysis
from mr.bundle import digest_of, load_bundle, pack_bundle
from mr.errors import FormatError, UsageError
from mr.loading import load_analysis

#: Loads a bundle in a fresh interpreter, elsewhere, and prints what its steps map 3 to.
UNPACK = """
import sys
from mr.bundle import digest_of, load_bundle
data = open(sys.argv[1], "rb").read()
bundle = load_bundle(data, digest_of(data))
for number, step in enumerate(bundle.steps, 1):
    print(step.__name__, list(bundle.analysis(number).map(3)))
"""

#: The same, and prints its answer over three records.
RUN = (
    UNPACK.split("for number")[0]
    + """
from mr.testing import ping, run_analysis
print(run_analysis(bundle.steps[0], [ping({"a": 1}, id=name) for name in "xyx"]))
"""
)

#: Begins a script that packs an analysis into the file that its first argument names.
PACK = """
import sys
from mr.bundle import pack_bundle
def pack(analysis, **parameters):
    open(sys.argv[1], "wb").write(pack_bundle(analysis, parameters))
"""


class Local(Analysis):
    """Lives in this test."""

    factor = 2

    def map(self, record):
        """Yield the record times the factor."""
        yield record * self.factor, 1


def python(*arguments, folder):
    """Run an interpreter in a folder; what it prints."""
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def unpacked(bundle, tmp_path):
    """What a bundle's steps do in a process that has only the bundle."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    return python("-c", UNPACK, bundle, folder=elsewhere)


@pytest.fixture
def folder(tmp_path):
    """A folder of a person's own, with a helper and a package in it."""
    here = tmp_path / "here"
    (here / "package_beside").mkdir(parents=True)
    (here / "helper_beside.py").write_text("FACTOR = 10\ndef scale(x): return x * FACTOR\n")
    (here / "package_beside" / "__init__.py").write_text("from .inner import plus\n")
    (here / "package_beside" / "inner.py").write_text("ONE = 1\ndef plus(x): return x + ONE\n")
    return here


JOB = """
from mr import Analysis
from helper_beside import scale
from package_beside import plus

BASE = 1000

class Second(Analysis):
    def map(self, record):
        from decimal import Decimal
        yield int(Decimal(plus(record))), "second"

class First(Analysis):
    then = Second
    extra = 0

    def map(self, record):
        yield BASE + scale(record) + self.extra, "first"
"""

JOB_GIVES = "First [(1035, 'first')]\nSecond [(4, 'second')]\n"


def test_a_file_with_helpers_beside_it_travels(folder, tmp_path):
    """A class of a file goes with its globals, helper modules, later steps and parameters."""
    (folder / "job.py").write_text(JOB)
    script = PACK + "from mr.loading import load_analysis\npack(load_analysis('job.py'), extra=5)"

    python("-c", script, tmp_path / "bundle", folder=folder)

    assert unpacked(tmp_path / "bundle", tmp_path) == JOB_GIVES


def test_a_class_of_a_running_script_travels(folder, tmp_path):
    """A class in the script that Python runs goes with the helpers beside that script."""
    (folder / "job.py").write_text(PACK + JOB + "\npack(First, extra=5)\n")

    python(folder / "job.py", tmp_path / "bundle", folder=tmp_path)

    assert unpacked(tmp_path / "bundle", tmp_path) == JOB_GIVES


def test_a_class_of_no_file_travels(folder, tmp_path):
    """A class typed in, as in a notebook, goes with the helpers of the current folder."""
    python("-c", PACK + JOB + "\npack(First, extra=5)\n", tmp_path / "bundle", folder=folder)

    assert unpacked(tmp_path / "bundle", tmp_path) == JOB_GIVES


def test_a_plain_script_travels(folder, tmp_path):
    """A script's functions go with their helpers."""
    (folder / "job.py").write_text(
        textwrap.dedent("""
            import helper_beside

            def map(key, dimensions, value, context):
                context.write(key, helper_beside.scale(len(value)))

            def reduce(key, values, context):
                context.write(key, sum(values))

            combine = reduce
        """)
    )
    script = PACK + "from mr.loading import load_analysis\npack(load_analysis('job.py'))"
    python("-c", script, tmp_path / "bundle", folder=folder)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    out = python("-c", RUN, tmp_path / "bundle", folder=elsewhere)

    assert out == "[('x', 160), ('y', 80)]\n"


def test_functions_made_by_others_travel_with_their_script(tmp_path):
    """A script whose map is a partial, or was made elsewhere, goes with what it is made of."""
    (tmp_path / "makers_beside.py").write_text(
        "def doubled(f):\n"
        "    def run(key, dims, value, context): f(key + key, dims, value, context)\n"
        "    return run\n"
    )
    (tmp_path / "job.py").write_text(
        "from functools import partial\nfrom makers_beside import doubled\n"
        "def write(how, key, dims, value, context): context.write(key, how)\n"
        "map = doubled(partial(write, 'so'))\n"
    )
    script = PACK + "from mr.loading import load_analysis\npack(load_analysis('job.py'))"
    python("-c", script, tmp_path / "bundle", folder=tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    assert python("-c", RUN, tmp_path / "bundle", folder=elsewhere) == (
        "[('xx', 'so'), ('yy', 'so'), ('xx', 'so')]\n"
    )


def test_a_class_of_a_module_travels(folder, tmp_path):
    """A class imported by package.module goes with its whole package, and what lies beside that."""
    (folder / "package_beside" / "more" / "deep").mkdir(parents=True)
    job = JOB.replace("from package_beside import", "from package_beside.more.far import")
    (folder / "package_beside" / "more" / "deep" / "jobs.py").write_text(job)
    (folder / "package_beside" / "more" / "far.py").write_text("def plus(x): return x + 1\n")
    script = PACK + (
        "sys.path.insert(0, '.')\nfrom mr.loading import load_analysis\n"
        "pack(load_analysis('package_beside.more.deep.jobs:First'), extra=5)"
    )

    python("-c", script, tmp_path / "bundle", folder=folder)

    assert unpacked(tmp_path / "bundle", tmp_path) == JOB_GIVES


def test_the_library_does_not_travel(tmp_path):
    """Neither Python nor we ourselves are packed, whatever an analysis takes from there."""
    (tmp_path / "job.py").write_text(
        "from functools import partial\nfrom json import dumps as combine\n"
        "def write(how, key, dims, value, context): context.write(key, how)\n"
        "map = partial(write, 'so')\n"
    )
    script = PACK + (
        "from mr.loading import load_analysis\nimport functools, mr.values, mr.bundle as b\n"
        "print([m.__name__ for m in b._local_modules(load_analysis('job.py'))])\n"
        "pack(load_analysis('job.py'))\n"
    )

    out = python("-c", script, tmp_path / "bundle", folder=tmp_path)

    assert out == "['analysis_job']\n"
    assert (tmp_path / "bundle").stat().st_size < 4_000


def test_a_bundled_analysis_travels():
    """Those that come with the package are packed as any other file is."""
    data = pack_bundle(load_analysis("os_distribution"), {})

    assert load_bundle(data, digest_of(data)).steps[0].__name__ == "OSDistribution"


def test_each_task_gets_a_fresh_instance():
    """Instances have the parameters, and share nothing that they set."""
    data = pack_bundle(Local, {"factor": 5, "unknown": 1})
    bundle = load_bundle(data, digest_of(data))

    one, other = bundle.analysis(1), bundle.analysis(1)
    one.factor = 7

    assert list(other.map(3)) == [(15, 1)]
    assert not hasattr(other, "unknown")


class Bomb:
    """Unpickling it is noticed."""

    went_off = False

    def __reduce__(self):
        return (setattr, (Bomb, "went_off", True))


def test_a_bundle_of_another_digest_is_refused():
    """What the job was not started with is never unpickled."""
    import cloudpickle

    good = pack_bundle(Local, {})
    bad = cloudpickle.dumps(Bomb())

    for digest in (digest_of(good), "", digest_of(bad).upper()):
        with pytest.raises(FormatError, match="not the one that the job was started with"):
            load_bundle(bad, digest)
    with pytest.raises(FormatError):
        load_bundle(good[:-1], digest_of(good))
    assert not Bomb.went_off


def test_what_cannot_be_packed_is_one_sentence():
    """An analysis that holds a lock or an open file is refused, with what to do instead."""
    held = threading.Lock()

    class Holds(Analysis):
        def map(self, record):
            with held:
                yield record, 1

    with pytest.raises(UsageError, match=r"Holds cannot be sent to a worker: .*setup\(\)"):
        pack_bundle(Holds, {})
    with pytest.raises(UsageError, match=r"Local cannot be sent to a worker"):
        pack_bundle(Local, {"lock": held})


def test_packing_changes_nothing_here():
    """After packing, modules are pickled by reference as before."""
    import cloudpickle

    before = set(cloudpickle.list_registry_pickle_by_value())

    pack_bundle(Local, {})
    with pytest.raises(UsageError):
        pack_bundle(Local, {"lock": threading.Lock()})

    assert set(cloudpickle.list_registry_pickle_by_value()) == before
