"""What a job publishes: the sections that each reducer writes, and the end of it all."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mr.errors import FormatError, ObjectMissing, PlanAgain
from mr.histograms.bodies import packing
from mr.histograms.definitions import Definitions
from mr.histograms.entries import StateFile, Value, read_entries, total
from mr.histograms.filters import FilterTree
from mr.histograms.folders import read_info, read_json, read_measures, state_name, states_name
from mr.histograms.ledger import Catalog, Cells, Ledger, Measure, Suffix
from mr.histograms.merging import Layout
from mr.histograms.placing import Place, place_of
from mr.histograms.sections import FolderSection, MeasureSection, PathTexts
from mr.histograms.shelves import shelf_of
from mr.histograms.swapping import finish_folder, remove_old, swap, write_root_lists
from mr.histograms.updates import FolderPlan, UpdatePlan
from mr.publishing import Commits
from mr.reducing import ReduceOutput
from mr.store import Store
from mr.text import counted

#: Measures whose names are told to a person; coverage.json has all.
NAMES_TOLD = 20

#: Channel, major version and measure of a section; "" is the folder's own.
SectionKey = tuple[str, str, str]
#: Channel, major version and shelf; "" is the folder's own.
ShelfKey = tuple[str, str, int | str]


class Sections:
    """The sections of one reduce task, shelf by shelf.

    A section that the base folder has and that no block has told of is carried over: it belongs to
    the reducer that its shelf would have come to.
    """

    def __init__(self, plan: UpdatePlan, definitions: Definitions, output: ReduceOutput) -> None:
        self._plan = plan
        self._definitions = definitions
        self._output = output
        self._open = packing(output.open, output.store)
        #: By version, the measures that the base folder has a state of, and its place.
        self._known = {key: self._measures(folder) for key, folder in plan.folders.items()}
        #: By shelf, the measures that must come from this task, whatever the blocks hold.
        self._waiting = self._carried_over()
        #: The folder's own section that is being written.
        self._own: tuple[ShelfKey, FolderSection] | None = None
        self._results: dict[SectionKey, dict[str, Any]] = {}
        #: The paths of the version that was asked for last, and what its sheets point at.
        self._paths: tuple[str, PathTexts] | None = None
        self._catalog: tuple[str, Catalog] | None = None

    def add(self, key: tuple, values: Iterable[Any]) -> None:
        """Take all values of the next key."""
        if key[2] != "":
            self._write_shelf(key, values)
            return
        if self._own is None or self._own[0] != key[:3]:
            self._finish_own()
            self._own = key[:3], self._folder_section(key[:3])
        self._own[1].add(key[3:], total(key[3:], values))

    def close(self) -> Iterator[tuple[SectionKey, dict[str, Any]]]:
        """Finish everything, and yield what became of each section."""
        self._finish_own()
        for key in list(self._waiting):
            if key[2] != "":
                self._write_shelf(key, ())
            else:
                self._own = key, self._folder_section(key)
                self._finish_own()
        yield from sorted(self._results.items())

    def _write_shelf(self, key: ShelfKey, values: Iterable[Any]) -> None:
        """Write the sections of a shelf's measures."""
        channel, major, shelf = key
        folder = self._plan.folders[f"{channel}/{major}"]
        ledger = Ledger(self._catalog_of(folder), self._output.folder)
        for value in values:
            ledger.add(value)
        states: StateFile | None = None
        for measure, found in _by_name(ledger.close(), sorted(self._waiting.pop(key, ()))):
            if states is None:
                states = StateFile(self._open(states_name(folder.folder, shelf)))
            section = self._measure_section(folder, measure, states)
            if found is not None:
                section.add((), found[0])
                section.add_cells(found[1])
            self._results[channel, major, measure] = section.close()
        if states is not None:
            states.close()

    def _measure_section(
        self, folder: FolderPlan, measure: str, states: StateFile
    ) -> MeasureSection:
        return MeasureSection(
            folder.folder,
            measure,
            open_file=self._open,
            states=states,
            definitions=self._definitions,
            paths=self._paths_of(folder),
            base=self._base(folder, measure),
        )

    def _folder_section(self, key: ShelfKey) -> FolderSection:
        self._waiting.pop(key, None)
        channel, major, _ = key
        folder = self._plan.folders[f"{channel}/{major}"]
        return FolderSection(
            folder.folder,
            open_file=self._open,
            base=self._base(folder, ""),
            base_tree=self._base_tree(folder),
        )

    def _finish_own(self) -> None:
        if self._own is not None:
            key, section = self._own
            self._results[key] = section.close()
            self._own = None

    def _measures(self, folder: FolderPlan) -> dict[str, tuple[int, int]]:
        if folder.base is None:
            return {}
        with self._base_is_there(folder):
            return read_measures(self._output.store, folder.base)

    def _carried_over(self) -> dict[ShelfKey, list[str]]:
        found: dict[ShelfKey, list[str]] = defaultdict(list)
        for version, measures in self._known.items():
            channel, major = version.split("/")
            found[channel, major, ""].append("")
            for measure in measures:
                found[channel, major, shelf_of(measure)].append(measure)
        return {key: names for key, names in found.items() if self._output.takes(key)}

    def _base(self, folder: FolderPlan, measure: str) -> Iterable[tuple[Suffix, Value]]:
        """The entries of a section of the base folder; none of one that is new."""
        if folder.base is None or (measure and measure not in self._known[folder.key]):
            return ()
        store = self._output.store
        with self._base_is_there(folder):
            if not measure:
                name = state_name(folder.base)
                return read_entries(store.open(name), name)
            name = states_name(folder.base, shelf_of(measure))
            start, length = self._known[folder.key][measure]
            stream = store.open(name, start=start, end=start + length)
            return read_entries(stream, f"{name} ({measure})")

    def _base_tree(self, folder: FolderPlan) -> Mapping[str, Any] | None:
        if folder.base is None:
            return None
        with self._base_is_there(folder):
            return read_json(self._output.store, f"{folder.base}/filter-tree.json")

    @contextmanager
    def _base_is_there(self, folder: FolderPlan) -> Iterator[None]:
        """Tell a base that later updates have removed from one that is damaged."""
        store = self._output.store
        try:
            yield
        except ObjectMissing as error:
            if read_info(store, folder.base) is None:
                raise PlanAgain(f"{folder.base} in {store.url} was removed meanwhile.") from None
            raise FormatError(f"{error}; --rebuild publishes afresh.") from None

    def _paths_of(self, folder: FolderPlan) -> PathTexts:
        if self._paths is None or self._paths[0] != folder.folder:
            self._paths = folder.folder, PathTexts(FilterTree(self._base_tree(folder)))
        return self._paths[1]

    def _catalog_of(self, folder: FolderPlan) -> Catalog:
        if self._catalog is None or self._catalog[0] != folder.folder:
            self._catalog = folder.folder, Catalog()
        return self._catalog[1]


def _by_name(
    found: Iterable[Measure], carried_over: Sequence[str]
) -> Iterator[tuple[str, tuple[list[Layout], Cells] | None]]:
    """The measures of a shelf in order of name: with what is new of them, or nothing."""
    waiting = deque(carried_over)
    for measure, layouts, cells in found:
        while waiting and waiting[0] <= measure:
            name = waiting.popleft()
            if name < measure:
                yield name, None
        yield measure, (layouts, cells)
    yield from ((name, None) for name in waiting)


def publish(output: Store, plan: UpdatePlan, commits: Commits) -> str:
    """Finish the new folders, make them the live ones, and tell the person. Repeatable.

    Raises PlanAgain when another update was first.
    """
    results: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for (channel, major, measure), result in commits.results():
        results[f"{channel}/{major}"][measure] = result
    unread: dict[str, list[str]] = defaultdict(list)
    for block in commits.unread:
        place = None if block.dimensions is None else place_of(block.dimensions)
        if isinstance(place, Place):
            unread[f"{place.channel}/{place.major}"].append(block.key)
    told = []
    for key, folder in plan.folders.items():
        measures = results[key]
        covered = measures.pop("")
        finish_folder(output, folder, plan, measures, covered, unread[key], commits.moved)
        told.append(_told(key, folder.folder, measures, covered))
    swap(output, plan, commits.moved)
    write_root_lists(output, [block.key for block in commits.unread], commits.moved)
    remove_old(output, plan, commits.moved)
    covered = commits.report["blocks"]["covered"]
    if covered:
        told.append(f"Published already, so not read again: {counted(covered, 'block')}.")
    if not plan.folders:
        told.append("Nothing new to publish.")
    return "\n".join(told)


def _told(key: str, folder: str, measures: Mapping[str, Any], covered: Mapping[str, Any]) -> str:
    left_out = {name: one["left_out"] for name, one in measures.items() if one["left_out"]}
    mismatches = [one["mismatch"] for one in measures.values() if one["mismatch"]]
    text = (
        f"Published {key} to {folder}: {counted(len(measures) - len(left_out), 'measure')} of "
        f"{counted(covered['records']['read'], 'record')} in "
        f"{counted(covered['blocks']['processed'], 'block')}."
    )
    if left_out:
        text += f" Left out: {_some(left_out)} (coverage.json says why)."
    if mismatches:
        text += (
            " Arrays of other lengths than the newest build's are left out of "
            f"{counted(len(mismatches), 'measure')} (coverage.json says which)."
        )
    return text


def _some(names: Iterable[str]) -> str:
    names = sorted(names)
    more = f" and {len(names) - NAMES_TOLD:,} more" if len(names) > NAMES_TOLD else ""
    return ", ".join(names[:NAMES_TOLD]) + more
