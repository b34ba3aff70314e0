"""Turns samples into tables: on the terminal as they come, and bench/RESULTS.md at the end."""

from statistics import median

US = "jettison"
MIB = 1 << 20
MEMORY_FLOOR = 64 * MIB
MEMORY_ENTRY = 400  # bytes an index entry


def seconds(value):
    return f"{value * 1000:.1f} ms" if value < 0.1 else f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def times(value):
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


class Results:
    """Samples by case and builder; where one failed, why."""

    def __init__(self, builders):
        self.builders = builders  # names, ours first, the floor last
        self.samples, self.failures = {}, {}

    def add(self, case, builder, sample):
        self.samples.setdefault((case.name, builder), []).append(sample)

    def fail(self, case, builder, reason):
        self.failures[case.name, builder] = str(reason)

    def of(self, case, builder, what="wall"):
        """The median, or None where there is none."""
        if (case.name, builder) in self.failures:
            return None
        samples = self.samples.get((case.name, builder), [])
        watched = [sample for sample in samples if sample.memory is not None]
        if what == "memory":
            chosen = watched
        else:  # times of watched rounds only where there are no others
            chosen = [sample for sample in samples if sample.memory is None] or watched
        return median(getattr(sample, what) for sample in chosen) if chosen else None

    def fastest_peer(self, case, what="wall"):
        known = [(self.of(case, name, what), name) for name in self.builders if not name.startswith((US, "floor"))]
        return min(((value, name) for value, name in known if value is not None), default=(None, None))


def line(results, case):
    """One line for the terminal."""
    parts = [f"{name} {seconds(results.of(case, name)) if results.of(case, name) is not None else '-'}"
             for name in results.builders]
    return f"{case.name}: " + ", ".join(parts)


def table(results, cases, what, show):
    names = results.builders
    rows = [["case", *names, "fastest peer / jettison", "jettison / floor"]]
    for case in cases:
        ours, (peer, _), floor = results.of(case, US, what), results.fastest_peer(case, what), results.of(case, "floor", what)
        cells = [show(results.of(case, name, what)) if results.of(case, name, what) is not None
                 else "failed" if (case.name, name) in results.failures else "-" for name in names]
        rows.append([case.title, *cells, times(peer / ours) if ours and peer else "-", times(ours / floor) if ours and floor else "-"])
    return markdown(rows)


def markdown(rows):
    head, *rest = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rest])


def judge(results, case, target):
    """One row of the targets: what must be seen, what was, and by how much it is missed; None without samples."""
    ours, floor = results.of(case, US), results.of(case, "floor")
    peer, name = results.fastest_peer(case)
    if target.what == "each-subids":
        ours = results.of(case, f"{US}-subids")
    if ours is None:
        return None
    if target.what == "peer":
        if peer is None:
            return None
        return verdict(case, f"at least {target.bound:g} times faster than the fastest peer", f"{times(peer / ours)} ({name})",
                       target.bound / (peer / ours))
    if target.what == "floor":
        if floor is None:
            return None
        return verdict(case, f"at most {target.bound:g} times the floor", times(ours / floor), ours / floor / target.bound)
    if target.what == "seconds":
        return verdict(case, f"at most {seconds(target.bound)}", seconds(ours), ours / target.bound)
    each = (ours - (floor or 0)) / case.steps
    whose = " with subordinate ids" if target.what.endswith("subids") else ""
    return verdict(case, f"at most {seconds(target.bound)} a step over the floor{whose}", seconds(each), each / target.bound)


def verdict(case, wanted, seen, excess):
    return [case.title, wanted, seen, "met" if excess <= 1 else f"**not met**: {times(excess)} times the bound"]


def judge_memory(results, case):
    ours, (peer, name) = results.of(case, US, "memory"), results.fastest_peer(case, "memory")
    if not ours:
        return
    bound = MEMORY_FLOOR + MEMORY_ENTRY * getattr(case, "count", 0)
    yield verdict(case, f"memory at most {bound / MIB:.0f} MiB", f"{ours / MIB:.0f} MiB", ours / bound)
    if peer:
        yield verdict(case, "memory at most a third of the smallest peer", f"{ours / peer:.2f} of {name}'s", ours * 3 / peer)


def targets(results, cases, binary):
    rows = [["case", "wanted", "seen", "verdict"]]
    for case in cases:
        rows += filter(None, (judge(results, case, target) for target in case.targets))
        rows += judge_memory(results, case)
    size, static = binary
    kind = "static" if static else "**not static**"
    rows.append(["binary", "at most 15 MB, static", f"{size / 1e6:.1f} MB, {kind}",
                 "met" if size <= 15e6 and static else "**not met**"])
    return markdown(rows)


def page(results, cases, facts, binary, instructions):
    """The whole of RESULTS.md."""
    mib = lambda value: f"{value / MIB:.0f} MiB"
    failed = [f"- {case}, {name}: {reason}" for (case, name), reason in results.failures.items()]
    cold = [f"- {case.title}: cold is {case.cold}; {len(results.samples.get((case.name, US), []))} rounds" for case in cases]
    parts = ["# Results", "Written by `bench/run`; how to read it: [README.md](README.md). Medians.",
             "\n".join(f"- {fact}" for fact in facts),
             "## What must be seen", targets(results, cases, binary),
             "## Wall time", table(results, cases, "wall", seconds),
             "## CPU time (all processes, RUN's own and daemons included)", table(results, cases, "cpu", seconds),
             "## Peak memory (the builder's own processes and daemons, without what RUN started)",
             table(results, cases, "memory", mib)]
    if instructions:
        parts += ["## Instructions of the pure parts (callgrind)", markdown([["part", "instructions"], *instructions])]
    parts += ["## What is cold", "\n".join(cold)]
    if failed:
        parts += ["## Failed or not possible", "\n".join(failed)]
    return "\n\n".join(parts) + "\n"
