"""Counts instructions of the pure parts with callgrind: figures that do not depend on what else the machine does.

Only what needs no sandbox: valgrind does not know openat2(2), with which contexts are opened (Debian 12's), nor the
processor's SHA instructions, so that hashing counts for more than it takes.
"""

import re
import shutil
import subprocess

import data
import measure

PLANNED = "FROM scratch\n" + "".join(
    f'ARG A{n}=v{n}\nENV E{n}=${{A{n}:-x}}-$E{n - 1}\nLABEL l{n}="$E{n}"\n' for n in range(300))
CONTENT = 4_000_000  # bytes, half random


def count(site, jettison):
    """Returns rows of (what, instructions); none where valgrind is not installed."""
    if not shutil.which("valgrind"):
        return []
    jettison.fresh()
    folder = site.folder / "instructions"
    data.write(folder / "context/Dockerfile", "FROM scratch\nCOPY file /\n")
    data.half_random(folder / "context/file", CONTENT, 1, data.text())
    jettison.call(jettison.build(folder / "context", "counted:1"))
    archive = folder / "archive.tar"
    parts = [("start: `version`", ["version"], ""),
             ("parse and plan 901 instructions, write the config", ["build", "--network", "host", "-t", "planned", "-"], PLANNED),
             ("tar, sha256 and gzip of 4 MB: `save`", ["save", "-o", archive, "counted:1"], ""),
             ("sha256, gunzip and read of them: `load`", ["load", "-i", archive], "")]
    rows = []
    for title, arguments, typed in parts:
        if arguments[0] == "load":
            jettison.call(jettison.save("counted:1", archive))
            jettison.fresh()
        rows.append([title, f"{counted(jettison.command(*arguments), typed) / 1e6:,.1f} million"])
    return rows


def counted(command, typed):
    """The instructions of a command and the processes it forks."""
    argv = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command.argv]
    done = subprocess.run(argv, env=measure.environment(command), input=typed, capture_output=True, text=True, check=False,
                          timeout=120)
    if done.returncode:
        raise measure.Failed(f"under callgrind: {done.stderr[-200:]}")
    return sum(map(int, re.findall(r"Collected : (\d+)", done.stderr)))
