"""One good record: its info, simple measurements, other sections, and histograms."""

import json
import re
from random import Random
from typing import Any

from mr.generate.drawing import below, hex_digits, pick, skewed, weighted
from mr.generate.frequencies import (
    ADAPTERS,
    ADDONS,
    ARCHES,
    CPU_COUNTS,
    FILES,
    FLASH,
    LIBRARIES,
    LOCALES,
    MEMORY_MB,
    STATEMENTS,
    SYSTEM_VERSIONS,
)
from mr.generate.measures import histogram_members
from mr.generate.planning import BlockPlan

#: Least bytes of JSON that a record without histograms comes to, about.
LEAST_RECORD_BYTES = 2_000
#: Share of records that have an oddity, for each of the oddities (all of them are valid).
ODDITY_SHARE = 0.01


def record_json(rng: Random, plan: BlockPlan, system: str, target: float) -> str:
    """A record's JSON of about `target` bytes: the histograms fill what the rest leaves."""
    experiment = rng.random() < 0.03
    sections: dict[str, Any] = {
        "ver": 2,
        "info": _info(rng, plan, system, experiment),
        "simpleMeasurements": _simple_measurements(rng),
    }
    if target > 3 * LEAST_RECORD_BYTES:
        sections |= _extra_sections(rng)
        if experiment:
            name = "EXPERIMENT_ACTIVATION" if rng.random() < 0.7 else "EXPERIMENT_TERMINATION"
            outcome = "ACCEPTED" if name == "EXPERIMENT_ACTIVATION" else "EXPIRED"
            sections["log"] = [[name, skewed(rng, 1_000, 4_000_000), outcome, "tabs@mozilla.org"]]
    start = json.dumps(sections, ensure_ascii=False)
    histograms = histogram_members(rng, target - len(start))
    return f'{start[:-1]}, "histograms": {{{histograms}}}}}'


def _info(rng: Random, plan: BlockPlan, system: str, experiment: bool) -> dict[str, Any]:
    build = plan.build
    vendor, device, description, driver = pick(rng, ADAPTERS)
    version: str | float = weighted(rng, SYSTEM_VERSIONS[system])
    if system in ("WINNT", "Android") and rng.random() < ODDITY_SHARE:
        version = json.loads(version)  # some clients sent a number
    addons = [addon for addon in ADDONS if rng.random() < 0.4]
    info = {
        "reason": plan.reason,
        "OS": system,
        "appID": "{ec8030f7-c20a-464f-9b0e-13a3a9e97384}",
        "appName": build.app,
        "appVersion": build.version,
        "appBuildID": build.build_id,
        "appUpdateChannel": build.channel,
        "platformBuildID": build.build_id,
        "locale": weighted(rng, LOCALES),
        "cpucount": weighted(rng, CPU_COUNTS),
        "memsize": weighted(rng, MEMORY_MB),
        "version": version,
        "hasMMX": system != "Android",
        "hasSSE2": system != "Android",
        "hasSSE3": system != "Android" and rng.random() < 0.9,
        "hasARMv7": system == "Android",
        "hasNEON": system == "Android" and rng.random() < 0.8,
        "adapterVendorID": vendor,
        "adapterDeviceID": device,
        "adapterDescription": description,
        "adapterDriver": driver,
        "adapterRAM": str(pick(rng, (128, 256, 512, 1024))),
        # encodeURIComponent for each, joined by bare commas
        "addons": ",".join(_percent_encoded(addon) for addon in addons),
    }
    if rng.random() >= ODDITY_SHARE:
        info["arch"] = weighted(rng, ARCHES[system])
    if rng.random() >= ODDITY_SHARE:
        info["revision"] = build.revision
    flash = weighted(rng, FLASH)
    if flash is not None and system != "Android":
        info["flashVersion"] = flash
    if experiment:
        info["activeExperiment"] = "tabs@mozilla.org"
        info["activeExperimentBranch"] = pick(rng, ("control", "variant"))
    return info


def _percent_encoded(addon: str) -> str:
    id_, _, version = addon.rpartition(":")
    return re.sub(r"[{}@]", lambda match: f"%{ord(match[0]):02X}", id_) + ":" + version


def _simple_measurements(rng: Random) -> dict[str, Any]:
    main = skewed(rng, 50, 4_000)
    add_ons_begin = main + skewed(rng, 100, 6_000)
    add_ons_end = add_ons_begin + skewed(rng, 50, 3_000)
    window = add_ons_end + skewed(rng, 20, 1_000)
    paint = window + skewed(rng, 100, 9_000)
    measures: dict[str, Any] = {
        "uptime": skewed(rng, 1, 3_000),
        "start": skewed(rng, 5, 300),
        "main": main,
        "AMI_startup_begin": add_ons_begin,
        "XPI_startup_begin": add_ons_begin + 8,
        "XPI_bootstrap_addons_begin": add_ons_end - 20,
        "XPI_bootstrap_addons_end": add_ons_end - 2,
        "XPI_startup_end": add_ons_end - 1,
        "AMI_startup_end": add_ons_end,
        "createTopLevelWindow": window,
        "firstPaint": paint,
        "firstLoadURI": paint,
        "sessionRestoreInitialized": paint + skewed(rng, 10, 400),
        "sessionRestored": paint + skewed(rng, 500, 9_000),
        "delayedStartupStarted": paint + 10,
        "delayedStartupFinished": paint + skewed(rng, 100, 900),
        "startupInterrupted": 0,
        "debuggerAttached": 0,
        "shutdownDuration": skewed(rng, 100, 30_000),
        "savedPings": skewed(rng, 0, 5),
        "startupSessionRestoreReadBytes": skewed(rng, 1_000_000, 90_000_000),
        "startupSessionRestoreWriteBytes": skewed(rng, 10_000, 900_000),
        "js": {"setProto": skewed(rng, 0, 5), "customIter": skewed(rng, 0, 20)},
        "addonManager": {"installedUnpacked": skewed(rng, 0, 6)},
    }
    if rng.random() < ODDITY_SHARE:
        problem = {"message": "this.XPIProvider is null", "file": "XPIProvider.jsm", "line": 1843}
        measures["addonManager"]["exception"] = problem
    return measures


def _extra_sections(rng: Random) -> dict[str, Any]:
    def slow(share: float) -> dict[str, list[int]]:
        """Statement to how often it was slow, and the milliseconds in all."""
        return {
            statement: [times := skewed(rng, 1, 20), times * skewed(rng, 50, 800)]
            for statement in STATEMENTS
            if rng.random() < share
        }

    sections: dict[str, Any] = {
        "slowSQL": {"mainThread": slow(0.15), "otherThreads": slow(0.4)},
        "addonHistograms": {},
        "chromeHangs": {"memoryMap": [], "stacks": [], "durations": []},
        "lateWrites": {"memoryMap": [], "stacks": []},
    }
    if rng.random() < 0.04:
        sections["chromeHangs"] = {**_stacks(rng, 3), "durations": []}
        hangs = sections["chromeHangs"]
        hangs["durations"] = [skewed(rng, 5, 60) for _ in hangs["stacks"]]
    if rng.random() < 0.02:
        sections["lateWrites"] = _stacks(rng, 2)
    if rng.random() < 0.15:
        sections["fileIOReports"] = {
            name: [_file_report(rng), _file_report(rng), None] for name in FILES
        }
    if rng.random() < 0.2:
        ids = [addon.rpartition(":")[0] for addon in ADDONS if rng.random() < 0.5]
        sections["addonDetails"] = {
            "XPI": {
                id_: {
                    "scan_MS": skewed(rng, 0, 40),
                    "startup_MS": skewed(rng, 0, 900),
                    "shutdown_MS": skewed(rng, 0, 30),
                }
                for id_ in ids
            }
        }
    return sections


def _stacks(rng: Random, most: int) -> dict[str, Any]:
    """A memory map and up to `most` stacks of [index in the map, offset]."""
    return {
        "memoryMap": [[name, hex_digits(rng, 32).upper() + "2"] for name in LIBRARIES],
        "stacks": [
            [[below(rng, len(LIBRARIES)), below(rng, 1 << 24)] for _ in range(12)]
            for _ in range(1 + below(rng, most))
        ],
    }


def _file_report(rng: Random) -> list[float] | None:
    """Milliseconds in all, then creates, reads, writes, fsyncs, stats; None for a file unused."""
    if rng.random() < 0.3:
        return None
    counts = [skewed(rng, 0, most) for most in (2, 60, 40, 8, 10)]
    return [skewed(rng, 0, 2_000_000) / 1000, *counts]
