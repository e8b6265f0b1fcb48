"""What the fields of telemetry hold: values, and where it matters how often each comes."""

from mr.generate.drawing import Weighted

#: Endings of blocks' names, which tell how they are compressed.
SUFFIXES: Weighted = (("lzma", 92), ("xz", 5), ("gz", 3))
#: Dimensions of blocks.
REASONS: Weighted = (("saved-session", 85), ("idle-daily", 15))
APPS: Weighted = (("Firefox", 86), ("Fennec", 10), ("Thunderbird", 4))
CHANNELS: Weighted = (("nightly", 40), ("aurora", 25), ("beta", 20), ("release", 15))
#: Operating systems by application.
SYSTEMS: dict[str, Weighted] = {
    "Firefox": (("WINNT", 88), ("Darwin", 7), ("Linux", 5)),
    "Fennec": (("Android", 1),),
    "Thunderbird": (("WINNT", 75), ("Linux", 15), ("Darwin", 10)),
}
#: Versions by operating system.
SYSTEM_VERSIONS: dict[str, Weighted] = {
    "WINNT": (("6.1", 56), ("5.1", 20), ("6.2", 16), ("6.0", 7), ("5.2", 1)),
    "Darwin": (("12.4.0", 45), ("11.4.2", 25), ("10.8.0", 25), ("13.0.0", 5)),
    "Linux": (("3.8.0-27-generic", 40), ("3.2.0-52-generic", 35), ("3.10.7-200.fc19.x86_64", 25)),
    "Android": (("10", 25), ("15", 20), ("16", 35), ("17", 20)),
}
#: Processors by operating system.
ARCHES: dict[str, Weighted] = {
    "WINNT": (("x86", 97), ("x86-64", 3)),
    "Darwin": (("x86-64", 95), ("x86", 5)),
    "Linux": (("x86-64", 70), ("x86", 30)),
    "Android": (("arm", 98), ("x86", 2)),
}
#: Processors of a machine, and megabytes of its memory.
CPU_COUNTS: Weighted = ((1, 12), (2, 50), (4, 28), (8, 9), (16, 1))
MEMORY_MB: Weighted = ((512, 5), (1023, 10), (2046, 25), (3066, 20), (4011, 25), (8139, 15))
#: Versions of Flash, None for a machine without.
FLASH: Weighted = (("11.8.800.94", 50), ("11.7.700.224", 25), ("11.9.900.117", 15), (None, 10))
#: Languages of builds.
LOCALES: Weighted = (("en-US", 55), ("de", 12), ("fr", 10), ("ru", 8), ("es-ES", 8), ("ja", 7))
#: Graphics adapters: vendor, device, description, driver.
ADAPTERS = (
    ("0x10de", "0x042b", "NVIDIA Quadro NVS 135M", "nvd3dum nvwgf2um"),
    ("0x8086", "0x2a42", "Mobile Intel® 4 Series Express Chipset Family", "igdumdx32 igd10umd32"),
    ("0x8086", "0x0116", "Intel® HD Graphics 3000", "igdumd64 igd10umd64"),
    ("0x1002", "0x9442", "ATI Radeon™ HD 4800 Series", "aticfx32 aticfx32 atiumdag"),
)
#: Add-ons as id:version.
ADDONS = (
    "{972ce4c6-7e08-4474-a285-3208198ce6fd}:25.0",
    "{d10d0bf8-f5b5-c8b4-a8b2-2b9879e08c5d}:2.3.1",
    "{e4a8a97b-f2ed-450b-b12d-ee082ba24781}:1.11",
    "firebug@software.joehewitt.com:1.12.0",
    "testpilot@labs.mozilla.com:1.2.2",
    "ich@maltegoetz.de:1.4.4",
)
#: Slow SQL statements.
STATEMENTS = (
    "SELECT url, title, frecency FROM moz_places WHERE id = :page_id /* places.sqlite */",
    "UPDATE moz_places SET frecency = :frecency WHERE id = :page_id /* places.sqlite */",
    "INSERT INTO moz_historyvisits (from_visit, place_id, visit_date, visit_type, session) "
    "VALUES (:from_visit, :page_id, :visit_date, :visit_type, :session) /* places.sqlite */",
    "COMMIT TRANSACTION /* formhistory.sqlite */",
    "COMMIT TRANSACTION /* addons.sqlite */",
    "SELECT key, value, secure FROM webappsstore2 WHERE scope = :scope /* webappsstore.sqlite */",
    "DELETE FROM moz_cookies WHERE name = :name AND host = :host AND path = :path "
    "/* cookies.sqlite */",
    "PRAGMA wal_checkpoint /* healthreport.sqlite */",
    "SELECT COUNT(1) FROM moz_logins WHERE hostname = :hostname /* signons.sqlite */",
)
#: Files with reports of their use.
FILES = (
    "{profile}/places.sqlite",
    "{profile}/places.sqlite-wal",
    "{profile}/cookies.sqlite",
    "{profile}/sessionstore.js",
    "{xre}/omni.ja",
    "{profile}/extensions.ini",
)
#: Libraries of memory maps.
LIBRARIES = ("xul.pdb", "nss3.pdb", "mozglue.pdb", "kernel32.pdb", "ntdll.pdb", "user32.pdb")
