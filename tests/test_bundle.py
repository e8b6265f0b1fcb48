"""The code bundle: what is packed here runs in a process that knows nothing of it."""

import io
import json
import os
import platform
import subprocess
import sys
import textwrap
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy
import pytest

import mr
from mr import shipping
from mr.analysis import Analysis
from mr.bundle import digest_of, header_of, load_bundle, pack_bundle
from mr.errors import FormatError, UsageError
from mr.loading import load_analysis

#: Loads a bundle in a fresh interpreter, elsewhere, and prints what its steps map 3 to.
UNPACK = """
import sys
from pathlib import Path
from mr.bundle import digest_of, load_bundle
data = open(sys.argv[1], "rb").read()
bundle = load_bundle(data, digest_of(data), Path(sys.argv[2]))
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


def elsewhere(script, tmp_path, *arguments):
    """What a script prints on another machine: it has mr-telemetry, and nothing of the sender's."""
    folder = tmp_path / "elsewhere"
    folder.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(mr.__file__).parent.parent),
        "PYTHONSAFEPATH": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "bundle", tmp_path / "code", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def unpacked(bundle, tmp_path):
    """What a bundle's steps do in a process that has only the bundle."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    return python("-c", UNPACK, bundle, tmp_path / "code", folder=elsewhere)


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

    out = python("-c", RUN, tmp_path / "bundle", tmp_path / "code", folder=elsewhere)

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

    out = python("-c", RUN, tmp_path / "bundle", tmp_path / "code", folder=elsewhere)

    assert out == ("[('xx', 'so'), ('yy', 'so'), ('xx', 'so')]\n")


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
        "print(b._local_modules(load_analysis('job.py')))\n"
        "pack(load_analysis('job.py'))\n"
    )

    out = python("-c", script, tmp_path / "bundle", folder=tmp_path)

    assert out == "['analysis_job']\n"
    assert (tmp_path / "bundle").stat().st_size < 4_000


def test_a_bundled_analysis_travels(tmp_path):
    """Those that come with the package are packed as any other file is."""
    data = pack_bundle(load_analysis("os_distribution"), {})

    assert load_bundle(data, digest_of(data), tmp_path).steps[0].__name__ == "OSDistribution"


def test_each_task_gets_a_fresh_instance(tmp_path):
    """Instances have the parameters, and share nothing that they set."""
    data = pack_bundle(Local, {"factor": 5, "unknown": 1})
    bundle = load_bundle(data, digest_of(data), tmp_path)

    one, other = bundle.analysis(1), bundle.analysis(1)
    one.factor = 7

    assert list(other.map(3)) == [(15, 1)]
    assert not hasattr(other, "unknown")


class Bomb:
    """Unpickling it is noticed."""

    went_off = False

    def __reduce__(self):
        return (setattr, (Bomb, "went_off", True))


def test_a_bundle_of_another_digest_is_refused(tmp_path):
    """What the job was not started with is never unpickled."""
    import cloudpickle

    good = pack_bundle(Local, {})
    bad = cloudpickle.dumps(Bomb())

    for digest in (digest_of(good), "", digest_of(bad).upper()):
        with pytest.raises(FormatError, match="not the one that the job was started with"):
            load_bundle(bad, digest, tmp_path)
    with pytest.raises(FormatError):
        load_bundle(good[:-1], digest_of(good), tmp_path)
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


# Source files that go along


@pytest.fixture
def tidy(monkeypatch):
    """Leave no path and no module behind."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(shipping, "_arrived", shipping._Arrived())
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder, **files):
    """Write modules to a folder; `__` in a name stands for a folder's slash."""
    for name, source in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))


@pytest.fixture
def late(folder):
    """The same folder with modules that are imported only when a function of them runs."""
    (folder / "package_late").mkdir()
    (folder / "package_late" / "__init__.py").write_text("")
    write(
        folder,
        late="""
            def late(x):
                from package_late.inner import add
                return add(x)
        """,
        package_late__inner="""
            import importlib

            def add(x):
                name = "plug" + "in"
                return x + importlib.import_module("package_late." + name).HUNDRED
        """,
        package_late__plugin="HUNDRED = 100",
        unused="raise RuntimeError",
    )
    return folder


LATE = """
from mr import Analysis
class Late(Analysis):
    def map(self, record):
        from late import late
        yield late(record), 1
"""

LATE_SCRIPT = """
def map(key, dimensions, value, context):
    import late
    context.write(key, late.late(len(value)))
"""

LOAD = PACK + "from mr.loading import load_analysis\npack(load_analysis(%r))"


@pytest.mark.parametrize("how", ["file", "module", "main", "notebook", "script"])
def test_what_is_imported_late_travels(late, tmp_path, how):
    """On another machine, with the folder gone, an analysis imports what it does only as it runs.

    One module is imported by a function, that imports one of a package, and that one by a name
    which no text has.
    """
    write(late, job=LATE, plain=LATE_SCRIPT)
    write(late / "mine", __init__="", job=LATE, main=PACK + LATE + "pack(Late)")
    cell = f"exec(compile({LATE!r}, '<ipython-input-1>', 'exec'), globals())\npack(Late)"
    arguments = {
        "file": ["-c", LOAD % "job.py"],
        "module": ["-c", "import sys; sys.path.insert(0, '.')\n" + LOAD % "mine.job:Late"],
        "main": ["mine/main.py"],
        "notebook": ["-c", PACK + cell],
        "script": ["-c", LOAD % "plain.py"],
    }[how]
    if how == "main":  # from its own folder
        (late / "mine" / "late.py").write_text((late / "late.py").read_text())
        (late / "package_late").rename(late / "mine" / "package_late")

    python(*arguments, tmp_path / "bundle", folder=late)
    late.rename(tmp_path / "gone")
    out = elsewhere(RUN if how == "script" else UNPACK, tmp_path)

    expected = "[('x', 108), ('y', 108), ('x', 108)]\n" if how == "script" else "Late [(103, 1)]\n"
    assert out == expected


def packed(name, folder, monkeypatch, ship=()):
    """The bundle of an analysis, packed here."""
    monkeypatch.chdir(folder)
    return pack_bundle(load_analysis(name, ship), {}, ship)


def archive_of(data):
    """The names of the source files in a bundle, without their root's number."""
    header = header_of(data)
    start = len(data) - header.pickle - header.archive
    with zipfile.ZipFile(io.BytesIO(data[start : start + header.archive])) as archive:
        return sorted(name.partition("/")[2] for name in archive.namelist())


def test_only_what_is_imported_travels(late, monkeypatch, tidy):
    """Neither other modules of the folder, nor Python's, ours or installed ones are in it."""
    write(late, job="import json, numpy, mr.values, yaml\nfrom os import path\n" + LATE)
    (late / "package_late" / "table.json").write_text("[]")

    data = packed("job.py", late, monkeypatch)

    package = [f"package_late/{name}.py" for name in ("__init__", "inner", "plugin")]
    assert archive_of(data) == ["job.py", "late.py", *package]
    assert [(root.folder, root.whole) for root in header_of(data).roots] == [(str(late), False)]
    assert archive_of(pack_bundle(load_analysis("os_distribution"), {})) == ["os_distribution.py"]


def test_packages_without_init_travel_as_far_as_they_are_named(tmp_path, monkeypatch, tidy):
    """Of a folder that is a package for want of a better, the modules that are named go along."""
    write(
        tmp_path,
        job="import spaces.one.a\nfrom spaces import b\nfrom spaces.one import c\n" + LATE,
        spaces__one__a="from . import d",
        spaces__one__d="",
        spaces__b="",
        spaces__one__c="",
        spaces__other="",
    )

    data = packed("job.py", tmp_path, monkeypatch)

    found = [name.removesuffix(".py") for name in archive_of(data)]
    assert found == ["job", "spaces/b", "spaces/one/a", "spaces/one/c", "spaces/one/d"]


READ = """
from pathlib import Path
from mr import Analysis
import table_far

class Reads(Analysis):
    def map(self, record):
        import later_far
        here = Path(__file__).with_name("near.txt").read_text()
        yield here, table_far.words(), later_far.__doc__, later_far.run()
"""


def test_a_folder_travels_whole(tmp_path, monkeypatch, tidy):
    """All files of `--with` go along: to be imported, read beside `__file__`, and executed."""
    here, far = tmp_path / "here", tmp_path / "far"
    write(here, job=READ)
    (here / "near.txt").write_text("near")
    write(
        far,
        table_far="""
            from pathlib import Path
            def words():
                return (Path(__file__).parent / "data" / "deep" / "words.bin").read_bytes()
        """,
        later_far="""
            "Later."
            import os, subprocess
            def run():
                tool = os.path.join(os.path.dirname(__file__), "tool")
                return subprocess.run([tool], capture_output=True, check=True).stdout
        """,
    )
    (far / "data" / "deep").mkdir(parents=True)
    (far / "data" / "deep" / "words.bin").write_bytes(b"\xff\x00")
    (far / "data" / "loop").symlink_to(far)
    (far / "tool").write_text("#!/bin/sh\necho tool")
    (far / "tool").chmod(0o755)
    for left_out in (".git/config", ".hidden", "__pycache__/x.pyc", "data/.DS_Store"):
        (far / left_out).parent.mkdir(exist_ok=True)
        (far / left_out).write_text("no")

    data = packed("job.py", here, monkeypatch, [far, "."])
    (tmp_path / "bundle").write_bytes(data)
    where = elsewhere(UNPACK + "print(sys.modules['table_far'].__file__)", tmp_path)
    here.rename(tmp_path / "gone")
    far.rename(tmp_path / "gone_too")
    out = elsewhere(UNPACK, tmp_path)

    assert archive_of(data) == [
        "data/deep/words.bin", "job.py", "later_far.py", "near.txt", "table_far.py", "tool",
    ]  # fmt: skip
    # Never the folder itself: what is left out must be missed at once.
    assert where.splitlines()[-1].startswith(f"{tmp_path}/code/")
    assert out == "Reads [('near', b'\\xff\\x00', 'Later.', b'tool\\n')]\n"


def test_folders_that_cannot_travel_are_refused(tmp_path, monkeypatch, tidy):
    """One that is missing, or too large: in words that name it; just small enough ones go."""
    write(tmp_path / "job", job=LATE)
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "data.bin").write_bytes(bytes(2000))
    size = 2000 + (tmp_path / "job" / "job.py").stat().st_size

    with pytest.raises(UsageError, match="--with nowhere: no such folder"):
        packed("job.py", tmp_path / "job", monkeypatch, ["nowhere"])
    with pytest.raises(UsageError, match=r"--with job.py: no such folder"):
        packed("job.py", tmp_path / "job", monkeypatch, ["job.py"])
    monkeypatch.setattr(shipping, "MOST_BYTES", size)
    packed("job.py", tmp_path / "job", monkeypatch, ["../big"])
    monkeypatch.setattr(shipping, "MOST_BYTES", size - 1)
    with pytest.raises(UsageError, match=rf"over 0 MB, most of them in {tmp_path}/big"):
        packed("job.py", tmp_path / "job", monkeypatch, ["../big"])
    assert size == shipping.MOST_BYTES + 1


def test_the_header_tells_what_the_sender_is(late, monkeypatch, tidy):
    """Python, our version, installed packages that the code imports, and requirements."""
    numbers = "def late(x):\n    import numpy.linalg, nosuch, click.core\n    return x"
    write(late, late=numbers, job=LATE + "    requirements = ['numpy>=1', 'tiny==1']\n")

    header = header_of(packed("job.py", late, monkeypatch))

    assert header.platform.python == platform.python_version()
    assert header.platform.version
    assert list(header.platform.packages) == ["click", "cloudpickle", "numpy"]
    assert header.platform.packages["numpy"] == numpy.__version__
    assert header.requirements == ["numpy>=1", "tiny==1"]


def test_a_notebook_names_only_what_its_analysis_uses(folder, tmp_path):
    """What other cells import is not asked of the workers; what a function imports is."""
    cell = "import pandas, click\nfrom rich import print as show\n" + LATE.replace(
        "from late import late", "import numpy.linalg; late = click.echo and int"
    )
    python("-c", PACK + cell + "pack(Late)", tmp_path / "bundle", folder=folder)

    packages = header_of((tmp_path / "bundle").read_bytes()).platform.packages

    assert list(packages) == ["click", "cloudpickle", "numpy"]


def test_the_files_as_they_were_sent_are_run(late, monkeypatch, tidy, tmp_path):
    """From their own folder as long as it is unchanged, so that they find what lies there."""
    write(late, job=LATE, late="def late(x): return __file__\n")
    data = packed("job.py", late, monkeypatch)
    (tmp_path / "bundle").write_bytes(data)

    same = elsewhere(UNPACK, tmp_path)
    write(late, late="def late(x): return 'changed'\n")
    changed = elsewhere(UNPACK, tmp_path)

    unpacked = tmp_path / "code" / digest_of(data)[:32] / "0"
    assert same == f"Late [('{late}/late.py', 1)]\n"
    assert changed == f"Late [('{unpacked}/late.py', 1)]\n"


def test_jobs_of_one_process_have_each_their_own_modules(tmp_path, monkeypatch, tidy):
    """Two jobs' modules of one name do not meet in the process that runs both, in turn."""
    bundles = []
    for name in ("one", "two"):
        write(tmp_path / name, job=LATE, late=f"def late(x): return {name!r}")
        script = LOAD % "job.py"
        python("-c", script, tmp_path / name / "bundle", folder=tmp_path / name)
        bundles.append((tmp_path / name / "bundle").read_bytes())
        (tmp_path / name).rename(tmp_path / f"{name}_gone")

    found, lengths = [], []
    for data in [*bundles, *bundles]:
        bundle = load_bundle(data, digest_of(data), tmp_path / "code")
        found += [key for key, _ in bundle.analysis(1).map(3)]
        lengths.append(len(sys.path))

    assert found == ["one", "two", "one", "two"]
    assert len(set(lengths)) == 1


def test_files_are_unpacked_once(tmp_path, monkeypatch, tidy):
    """A second load, in whatever process, takes what is there; nothing half-made stays."""
    write(tmp_path / "here", job=LATE, late="")
    data = packed("job.py", tmp_path / "here", monkeypatch)
    code = tmp_path / "code"

    load_bundle(data, digest_of(data), code)
    times = {file: file.stat().st_mtime_ns for file in code.rglob("*.py")}
    load_bundle(data, digest_of(data), code)

    assert {file.name for file in times} == {"job.py", "late.py"}
    assert {file: file.stat().st_mtime_ns for file in code.rglob("*.py")} == times
    assert [one.name for one in code.iterdir()] == [digest_of(data)[:32]]


#: Loads a bundle and prints the traceback of what its first step raises.
FAIL = (
    UNPACK.split("for number")[0]
    + """
from mr.usercode import own_frames
try:
    list(bundle.analysis(1).map(3))
except ValueError as error:
    print(own_frames(error))
"""
)


@pytest.mark.parametrize("how", ["file", "cell"])
def test_a_traceback_shows_the_senders_lines(tmp_path, how):
    """Where the file is not there, or there is none, the traceback has its lines all the same."""
    source = LATE.replace("from late import late", "raise ValueError(record)  # said so")
    write(tmp_path / "here", job=source)
    # As notebooks do it: the cells' lines are in linecache alone.
    cell = (
        PACK
        + f"import linecache; linecache.cache['cell 1'] = (1, None, {source!r}.splitlines(1), '')"
        f"\nexec(compile({source!r}, 'cell 1', 'exec'), globals())\npack(Late)"
    )
    script = cell if how == "cell" else LOAD % "job.py"
    python("-c", script, tmp_path / "bundle", folder=tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "gone")

    out = elsewhere(FAIL, tmp_path)

    name = "cell 1" if how == "cell" else f"{tmp_path}/here/job.py"
    assert f'File "{name}", line 5, in map\n    raise ValueError(record)  # said so\n' in out


def rebuilt(data, **changes):
    """A bundle with another archive, or with other fields in its header."""
    header = header_of(data)
    packed = data[len(data) - header.pickle :]
    start = len(data) - header.pickle - header.archive
    archive = changes.pop("files", data[start : start + header.archive])
    header = replace(header, archive=len(archive))
    line = {**msgspec.to_builtins(header), **changes}
    return json.dumps(line).encode() + b"\n" + archive + packed


def zipped(name):
    """An archive of one file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, "evil")
    return out.getvalue()


def test_damage_is_told(tmp_path):
    """Whatever is wrong with a bundle of the right digest is a FormatError."""
    data = pack_bundle(Local, {})
    assert load_bundle(rebuilt(data), digest_of(rebuilt(data)), tmp_path).steps

    damaged = [
        b"", b"\n", b"[]\n", data[:-1], data + b"x", data[:40], b"x" + data,
        rebuilt(data, archive=5), rebuilt(data, pickle="x"), rebuilt(data, roots=None),
        rebuilt(data, files=b""), rebuilt(data, files=b"no zip" * 50),
        rebuilt(data, files=zipped("0/late.py")[:-10]),
    ]  # fmt: skip
    for bad in damaged:
        with pytest.raises(FormatError):
            load_bundle(bad, digest_of(bad), tmp_path / "code")


@pytest.mark.parametrize(
    "name", ["../evil.py", "0/../../evil.py", "/evil.py", "evil.py", "0/..", "x/evil.py"]
)
def test_no_file_is_written_elsewhere(tmp_path, name):
    """A name in the archive that leads out of its root is refused, and nothing of it is kept."""
    bad = rebuilt(pack_bundle(Local, {}), files=zipped(name))

    with pytest.raises(FormatError, match="has a file of the name"):
        load_bundle(bad, digest_of(bad), tmp_path / "code")

    assert list(tmp_path.rglob("*")) == [tmp_path / "code"]
