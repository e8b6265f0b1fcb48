"""An analysis that uses every hook: its answer is compared across engines, splits and faults."""

import time

from mr import Analysis


class Ranked(Analysis):
    """Second step: the keys of the first one by size, with the ids in input order."""

    def map(self, pair):
        (system, version), (number, first_ids) = pair
        yield number // 10, (system, version, first_ids)
        self.count("groups")

    def reduce(self, key, values):
        yield key, list(values)


class EveryHook(Analysis):
    """Counts and first ids by system and its version, without a combiner: order matters."""

    keep = 3
    pause_s = 0.0
    then = Ranked

    def setup(self):
        self.seen = 0

    def map_block(self, block):
        for record in block.records():
            self.seen += 1
            if self.pause_s:
                time.sleep(self.pause_s)
            self.count(f"records of {block.dimensions.appName}")
            info = record["info"]
            yield (info["OS"], str(info.get("version"))), record.id

    def finish(self):
        self.count("seen", self.seen)

    def partition_key(self, key):
        return key[0]

    def reduce(self, key, values):
        first, number = [], 0
        for value in values:
            number += 1
            if len(first) < self.keep:
                first.append(value)
        yield key, (number, first)
