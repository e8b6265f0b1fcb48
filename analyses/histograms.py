"""Merged histograms: the folder that a dashboard reads.

Output: published files, for each channel and major version a folder; and for each measure of it
what was published, or why it was not. `-o FOLDER/` adds to what is published there: blocks that
are in already are not read again. `-o FILE.json` gives everything as one document.
"""

from collections import Counter

from mr import Analysis
from mr.histograms.definitions import Definitions
from mr.histograms.document import write_document
from mr.histograms.entries import BLOCK, SKIP, combined
from mr.histograms.placing import place_of
from mr.histograms.publication import Sections, publish
from mr.histograms.scanning import ScannedGathering
from mr.histograms.updates import UpdatePlan, plan_update


class Histograms(Analysis):
    """Adds up every histogram and simple measure by version, date and filter path."""

    #: Files of histogram definitions, each `[REVISION=]FILE`; none are those of the package.
    definitions = ()
    #: Whether to start afresh instead of adding to what is published.
    rebuild = False
    #: How many earlier folders of a version to keep.
    keep = 1

    def prepare(self, blocks, output):
        """Choose the new folders, and leave out the blocks that are published already."""
        definitions = Definitions.load(self.definitions)
        plan = plan_update(blocks, output, rebuild=self.rebuild, keep=self.keep)
        return {"definitions": definitions.to_json(), "plan": plan.to_json()}

    def setup(self):
        """Begin with nothing."""
        self._skipped = Counter()
        self._folder = None
        self._gathering = ScannedGathering(self._skip)

    def _skip(self, reason, measure):
        self._skipped[(*self._folder, reason, measure)] += 1

    def map_block(self, block):
        """Add up a block, whose path tells all but the record's part of the filter path."""
        place = place_of(block.dimensions)
        self._folder = place.channel, place.major
        gathering = self._gathering
        gathering.begin_block(place)
        chunks = block.records_left(lambda chunk: gathering.take(chunk, block.compiled))
        for records in chunks:
            for record in records:
                gathering.add_record(record.payload)
                if gathering.is_full:
                    yield from gathering.pairs()
            if gathering.is_full:
                yield from gathering.pairs()
        without_path = gathering.end_block()
        yield (
            (*self._folder, "", BLOCK, block.key),
            [
                block.size,
                block.tag,
                block.store_url,
                place.build_date,
                place.path_submission_date,
                block.good_records,
                block.bad_records,
                without_path,
                block.damage,
            ],
        )

    def finish(self):
        """Yield what was added up over all blocks, and what was left out."""
        yield from self._gathering.pairs()
        for (channel, major, reason, measure), times in self._skipped.items():
            yield (channel, major, "", SKIP, reason, measure), times

    def combine(self, key, values):
        """Add up."""
        for value in combined(key, values):
            yield key, value

    def partition_key(self, key):
        """All of one shelf of measures, or of one folder, is written by one reducer."""
        return key[:3]

    def setup_reduce(self, output):
        """Begin with the sections of the folders that this reducer is to write."""
        plan = UpdatePlan.from_json(self.prepared["plan"])
        definitions = Definitions.from_json(self.prepared["definitions"])
        self._sections = Sections(plan, definitions, output)

    def reduce(self, key, values):
        """Add up, into the files of its section."""
        self._sections.add(key, values)

    def finish_reduce(self):
        """Tell what became of each section."""
        yield from self._sections.close()

    def publish(self, output, commits):
        """Make the new folders the live ones."""
        return publish(output, UpdatePlan.from_json(self.prepared["plan"]), commits)

    def document(self, output, file):
        """Write everything as one JSON document."""
        write_document(output, file)
