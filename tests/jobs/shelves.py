"""An analysis that publishes files: the ids of each system's records, and an index."""

import json
import os
import time

from mr import Analysis
from mr.errors import ObjectMissing, PlanAgain


class Shelves(Analysis):
    """A file for each version of each system, and `index.json`, which names the files."""

    without = ""
    pause_s = 0.0
    #: Faults to be tried: a file of one name from every reducer, a publish that fails or dies once.
    same_name = False
    fault = ""

    def prepare(self, blocks, output):
        for block in blocks:
            if self.without and block.dimensions.appName == self.without:
                blocks.leave_out(block, f"{self.without} is not wanted")
        return {"seen": len(blocks), "tag": _tag(output)}

    def map(self, record):
        info = record["info"]
        yield (info["OS"], str(info.get("version"))), record.id

    def partition_key(self, key):
        return key[0]

    def setup_reduce(self, output):
        self.written = []
        if self.same_name:
            self.output.open("same").close()

    def reduce(self, key, values):
        name = f"shelves/{key[0]}/{key[1] or 'none'}.json"
        with self.output.open(name) as file:
            file.write(json.dumps(list(values)).encode())
        self.written.append(name)
        self.count("files")
        yield key, name

    def finish_reduce(self):
        assert all(self.output.takes((name.split("/")[1], "")) for name in self.written)
        yield "written", len(self.written)

    def publish(self, output, commits):
        if self.pause_s:
            time.sleep(self.pause_s)
        if self.fault == "raise":
            raise ValueError("the shelf is full")
        if self.fault == "die" and output.stat("died") is None:
            output.write("died", b"")
            os.kill(os.getpid(), 9)
        if self.fault == "again" and output.stat("again") is None:
            output.write("again", b"")
            raise PlanAgain("somebody was first.")
        pairs = list(commits.results())
        names = sorted(value for key, value in pairs if key != "written")
        assert sum(value for key, value in pairs if key == "written") == len(names)
        index = {"names": names, "records": commits.report["records"]["read"], **self.prepared}
        output.write("index.json", json.dumps(index).encode())
        return f"{len(names)} shelves"

    def document(self, output, file):
        index = json.loads(output.read("index.json"))
        content = {name: json.loads(output.read(name)) for name in index["names"]}
        file.write(json.dumps(content, indent=1).encode())


def _tag(output):
    try:
        return json.loads(output.read("index.json"))["seen"]
    except ObjectMissing:
        return None
