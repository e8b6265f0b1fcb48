"""A `hadoop` command of one machine, for tests of mrjob's runner of Hadoop: files and streaming.

    fake_hadoop.py ROOT version | fs ... | jar STREAMING.jar ...

`hdfs:///a` is the file ROOT/hdfs/a, and `s3://bucket/a` is ROOT/s3/bucket/a. Streaming jobs really
run: each task in an empty folder with the files of the job, in an environment that has nothing of
the client's; equal keys come in any order, files are cut into splits, and reducers without input
run too. What was asked for is noted in ROOT/calls.jsonl. Where there is a file ROOT/flaky, what the
first attempt of each task puts out is lost. Only what mrjob 0.7.4 asks for is there.

It imports the standard library alone, for it runs by `python -I -S`.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from pathlib import Path

#: Files of the default input format are cut after so many bytes, at the end of a line.
SPLIT_BYTES = 3000
#: What a job may count by, of which Hadoop itself counts by some.
MOST_COUNTERS, ITS_OWN = 120, 54
ATTEMPTS = 2
JOB = "1700000000000_0001"
LINES = "org.apache.hadoop.mapred.lib.NLineInputFormat"
BY_FIELDS = "org.apache.hadoop.mapred.lib.KeyFieldBasedPartitioner"
#: Options of every command of Hadoop, which must stand before those of streaming.
GENERIC = ("-files", "-archives", "-libjars", "-D")

#: What a container says of a task that fails.
SYSLOG = """\
2026-11-28 02:00:00,000 WARN [main] org.apache.hadoop.mapred.YarnChild: Exception running child : \
java.lang.RuntimeException: PipeMapRed.waitOutputThreads(): subprocess failed with code {}
\tat org.apache.hadoop.streaming.PipeMapRed.waitOutputThreads(PipeMapRed.java:326)
"""

_COUNTER = re.compile(rb"^reporter:counter:([^,]*),([^,]*),(\d+)$", re.MULTILINE)


class Refused(Exception):
    """What Hadoop would end with."""


class Hadoop:
    """The files, and the jobs over them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, uri: str) -> str:
        """Where the file of a URI is."""
        scheme, separator, rest = uri.partition("://")
        if not separator or scheme not in ("hdfs", "s3"):
            raise Refused(f"No FileSystem for scheme: {uri}")
        return os.path.join(self.root, scheme, rest.lstrip("/"))

    def uri(self, path: str) -> str:
        """The URI of a file."""
        scheme, _, rest = os.path.relpath(path, self.root).partition("/")
        return f"{scheme}:///{rest}" if scheme == "hdfs" else f"{scheme}://{rest}"

    # hadoop fs

    def fs(self, words: list[str]) -> None:
        """Answer one of the commands for files."""
        name, *rest = words
        names = [word for word in rest if not word.startswith("-")]
        getattr(self, "fs_" + name.lstrip("-").lower())(names, "-R" in rest)

    def fs_mkdir(self, names: list[str], _: bool) -> None:
        """Make folders."""
        for name in names:
            os.makedirs(self.path(name), exist_ok=True)

    def fs_put(self, names: list[str], _: bool) -> None:
        """Copy a file to here, never over another."""
        source, target = names[0], self.path(names[1])
        if os.path.exists(target):
            raise Refused(f"put: `{names[1]}': File exists")
        shutil.copyfile(source, target)

    def fs_ls(self, names: list[str], is_deep: bool) -> None:
        """List what matches, with all that lies below it."""
        found = sorted(glob(self.path(names[0])))
        if not found:
            raise Refused(f"ls: `{names[0]}': No such file or directory")
        for place in found:
            below = sorted(Path(place).rglob("*")) if is_deep and os.path.isdir(place) else []
            for path in [place, *map(str, below)] if is_deep else [place]:
                kind, size = "d" if os.path.isdir(path) else "-", os.path.getsize(path)
                print(f"{kind}rw-r--r--   1 me us {size:10} 2026-11-28 02:00 {self.uri(path)}")

    def fs_cat(self, names: list[str], _: bool) -> None:
        """Print a file."""
        sys.stdout.buffer.write(Path(self.path(names[0])).read_bytes())

    def fs_copytolocal(self, names: list[str], _: bool) -> None:
        """Copy a file from here, never over another."""
        if os.path.exists(names[1]):
            raise Refused(f"copyToLocal: `{names[1]}': File exists")
        shutil.copyfile(self.path(names[0]), names[1])

    def fs_rm(self, names: list[str], _: bool) -> None:
        """Remove a folder."""
        shutil.rmtree(self.path(names[0]))

    # hadoop jar

    def stream(self, words: list[str]) -> None:
        """Run a streaming job."""
        job = Streaming(self, words)
        for line in ("Running job: job_" + JOB, f"Submitted application application_{JOB}"):
            tell(line)
        os.makedirs(job.output)
        maps = [(number, data) for number, data in enumerate(job.splits())]
        mapped = job.run_all("m", job.options["-mapper"], maps)
        if job.reduces:
            shuffled = job.shuffle(mapped)
            job.write(job.run_all("r", job.options["-reducer"], list(enumerate(shuffled))), 1)
        else:
            job.write(mapped, job.key_fields)
        Path(job.output, "_SUCCESS").touch()
        if len(job.counters) > MOST_COUNTERS - ITS_OWN:
            raise Refused(f"Too many counters: {len(job.counters) + ITS_OWN} max={MOST_COUNTERS}")
        groups: dict[str, list[str]] = {}
        for (group, name), number in sorted(job.counters.items()):
            groups.setdefault(group, []).append(f"\t\t{name}={number}")
        lines = [line for group, those in groups.items() for line in (f"\t{group}", *those)]
        tell("\n".join([f"Counters: {len(job.counters)}", *lines]))
        tell(f"Output directory: {job.options['-output']}")


class Streaming:
    """A streaming job, as its command line has it."""

    def __init__(self, hadoop: Hadoop, words: list[str]) -> None:
        self.hadoop = hadoop
        self.options: dict[str, str] = {}
        self.inputs: list[str] = []
        self.conf: dict[str, str] = {}
        self.environment: dict[str, str] = {}
        self.counters: Counter[tuple[str, str]] = Counter()
        is_generic = True
        for option, value in zip(words[::2], words[1::2], strict=True):
            if option in GENERIC and not is_generic:
                raise Refused(f"Unrecognized option: {option}")
            is_generic = option in GENERIC
            name, _, text = value.partition("=")
            if option == "-D":
                self.conf[name] = text
            elif option == "-cmdenv":
                self.environment[name] = text
            elif option == "-input":
                self.inputs.append(value)
            else:
                self.options[option] = value
        self.reduces = int(self.conf.get("mapreduce.job.reduces", "1"))
        self.reduces = self.reduces if "-reducer" in self.options else 0
        self.key_fields = int(self.conf.get("stream.num.map.output.key.fields", "1"))
        self.output = hadoop.path(self.options["-output"])
        if os.path.exists(self.output):
            raise Refused(f"Output directory {self.options['-output']} already exists")

    def splits(self) -> list[bytes]:
        """What each mapper reads."""
        found: list[bytes] = []
        for uri in self.inputs:
            path = self.hadoop.path(uri)
            files = sorted(Path(path).glob("[!_.]*")) if os.path.isdir(path) else [Path(path)]
            for file in files:
                lines = file.read_bytes().splitlines(keepends=True)
                if self.options.get("-inputformat") == LINES:
                    starts = [sum(map(len, lines[:number])) for number in range(len(lines))]
                    found += [b"%d\t%s" % pair for pair in zip(starts, lines, strict=True)]
                else:
                    found += cut(lines)
        return found

    def shuffle(self, mapped: list[bytes]) -> list[bytes]:
        """What each reducer reads: its lines by their keys, and equal keys in any order."""
        if self.options.get("-partitioner") != BY_FIELDS:
            raise Refused("this Hadoop knows one partitioner")
        assert self.conf["mapreduce.partition.keypartitioner.options"] == "-k1,1"
        parts: list[list[bytes]] = [[] for _ in range(self.reduces)]
        for data in mapped:
            for line in data.splitlines(keepends=True):
                parts[hash_of(line.split(b"\t")[0]) % self.reduces].append(line)
        return [b"".join(sorted(lines, key=self.order)) for lines in parts]

    def order(self, line: bytes) -> tuple[bytes, int]:
        """By what lines are sorted: the first fields, and then by nothing that one may rely on."""
        return b"\t".join(line.rstrip(b"\n").split(b"\t")[: self.key_fields]), hash_of(line)

    def write(self, parts: list[bytes], fields: int) -> None:
        """Write what comes out: a key alone has a tab behind it."""
        for number, data in enumerate(parts):
            lines = (
                line if line.count(b"\t") >= fields else line.rstrip(b"\n") + b"\t\n"
                for line in data.splitlines(keepends=True)
            )
            Path(self.output, f"part-{number:05}").write_bytes(b"".join(lines))

    def run_all(self, kind: str, command: str, tasks: list[tuple[int, bytes]]) -> list[bytes]:
        """Run tasks, two at a time; gives what each puts out."""
        with ThreadPoolExecutor(2) as threads:
            return list(threads.map(lambda task: self.run(kind, command, *task), tasks))

    def run(self, kind: str, command: str, number: int, data: bytes) -> bytes:
        """Run a task until an attempt of it succeeds."""
        is_flaky = (self.hadoop.root / "flaky").exists()
        for attempt in range(ATTEMPTS):
            done = self.attempt(kind, command, number, data)
            if done.returncode == 0 and not (is_flaky and attempt == 0):
                for group, name, amount in _COUNTER.findall(done.stderr):
                    self.counters[group.decode(), name.decode()] += int(amount)
                return done.stdout
        logs = (
            self.hadoop.root / f"logs/userlogs/application_{JOB}/container_{JOB}_01_00000{number}"
        )
        logs.mkdir(parents=True, exist_ok=True)
        (logs / "stderr").write_bytes(done.stderr)
        (logs / "syslog").write_text(SYSLOG.format(done.returncode))
        raise Refused(f"Job job_{JOB} failed with state FAILED due to: Task failed task_{JOB}")

    def attempt(
        self, kind: str, command: str, number: int, data: bytes
    ) -> subprocess.CompletedProcess:
        """Run a task once."""
        ids = {"mapreduce.job.id": f"job_{JOB}", "mapreduce.task.partition": str(number)}
        conf = {re.sub(r"\W", "_", name): text for name, text in {**self.conf, **ids}.items()}
        with tempfile.TemporaryDirectory(dir=self.hadoop.root) as folder:
            for file in self.options["-files"].split(","):
                uri, _, name = file.partition("#")
                shutil.copyfile(self.hadoop.path(uri), os.path.join(folder, name))
                os.chmod(os.path.join(folder, name), 0o555)
            return subprocess.run(
                split_command(command),
                cwd=folder,
                env={"PATH": os.environ["PATH"], "PWD": folder, **conf, **self.environment},
                input=data,
                capture_output=True,
            )


def split_command(command: str) -> list[str]:
    """A command's words as streaming has them: a quote ends a word, and nothing escapes one."""
    found = re.findall(r"'([^']*)'|\"([^\"]*)\"|([^ '\"]+)", command)
    return [one or other or plain for one, other, plain in found]


def cut(lines: list[bytes]) -> list[bytes]:
    """A file's lines in splits; an empty file has one."""
    splits = [b""]
    for line in lines:
        if len(splits[-1]) > SPLIT_BYTES:
            splits.append(b"")
        splits[-1] += line
    return splits


def hash_of(field: bytes) -> int:
    """By what the partitioner chooses."""
    number = 0
    for byte in field:
        number = (31 * number + byte) & 0xFFFFFFFF
    return number & 0x7FFFFFFF


def tell(text: str) -> None:
    """Write to the log."""
    print(f"2026-11-28 02:00:00,000 INFO mapreduce.Job: {text}", file=sys.stderr)


def main(root: str, command: str, *words: str) -> None:
    """Answer a command."""
    with open(os.path.join(root, "calls.jsonl"), "a") as calls:
        calls.write(json.dumps([command, *words]) + "\n")
    hadoop = Hadoop(Path(root))
    if command == "version":
        print("Hadoop 3.3.6")
    elif command == "fs":
        hadoop.fs(list(words))
    else:
        hadoop.stream(list(words[1:]))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Refused as error:
        if sys.argv[2] == "fs":
            sys.exit(str(error))
        tell(str(error))
        sys.exit("Streaming Command Failed!")
