"""What a case of the benchmark is.

A case goes through: `prepare` once (contexts, bases), `warm` once for each builder, then for every repeat and builder
`before` (not measured), `work` (measured) and, the first time, `check`: was the right thing built? `floor` is the same work
without a builder, `None` where there is no such thing.
"""

import itertools
from dataclasses import dataclass

import data
import images
from measure import Failed, Work, shell


@dataclass
class Target:
    """What must be seen: `what` is "peer" (times faster), "floor" (times slower), "seconds" or "each" (seconds a step)."""

    what: str
    bound: float


class Case:
    repeats = 5  # at most
    cold = "nothing"
    targets = ()
    steps = 1

    def __init__(self, name, title, site, **settings):
        self.name, self.title, self.site = name, title, site
        self.folder = site.folder / "cases" / name
        self.context = self.folder / "context"
        self.rounds = itertools.count(1)
        self.round = 0
        self.tag = f"{site.registry.host}/bench/{name}:1"
        for key, value in settings.items():
            setattr(self, key, value)

    def prepare(self):
        raise NotImplementedError

    def warm(self, builder):
        builder.fresh()

    def warm_with_context(self, builder):
        """Builds the context once, unless the case before did: some builders need a minute for it."""
        if builder.holds != self.context:
            builder.fresh()
            builder.call(builder.build(self.context, self.tag))
            builder.holds = self.context

    def before(self, builder):
        """Also called for the floor, whose builder is None."""

    def work(self, builder):
        return Work([builder.build(self.context, self.tag)])

    def floor(self):
        return None

    def check(self, builder):
        """Compares the files named in `expected` (path in the image: digest, or None for "is there")."""
        archive = self.folder / f"{builder.name}.tar"
        builder.call(builder.save(self.tag, archive))
        try:
            self.compare(images.files_of_archive(archive, self.wanted))
        finally:
            archive.unlink(missing_ok=True)

    def wanted(self, path):
        return path in self.expected()

    def compare(self, found):
        for path, digest in self.expected().items():
            if path not in found:
                raise Failed(f"wrong image: {path} is missing")
            if digest and found[path] != digest:
                raise Failed(f"wrong image: {path} has other bytes")

    def expected(self):
        return {}

    def dockerfile(self, *lines):
        data.write(self.context / "Dockerfile", "\n".join(lines) + "\n")

    def scratch(self, script, **env):
        """A floor: a script that runs in an empty folder, $out, which was removed before."""
        return shell(f'mkdir -p "$out"; cd "$out"; {script}', out=self.folder / "floor", **env)
