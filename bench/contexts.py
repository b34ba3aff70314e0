"""Cases b, c and d: contexts of many files, and of one large file."""

import data
import images
from case import Case
from measure import Failed, Work, shell


class Context(Case):
    """A whole context copied to an empty image: `count` files of `size` bytes."""

    count, size = 50_000, 10_000
    state = "cold"
    layout = False  # whether a compressed OCI layout is written, not only the builder's own store
    shared = {}  # contexts of equal shape are made once

    def prepare(self):
        made = self.shared.get((self.count, self.size))
        if made:
            self.context = made
        else:
            self.context.mkdir(parents=True)
            make = data.small_files if self.count > 1000 else data.large_files
            make(self.context / "files", self.count, self.size)
            self.dockerfile("FROM scratch", "COPY . .")
            self.shared[self.count, self.size] = self.context
            self.site.bash("sync")
        if self.state == "cold":
            self.cold, self.repeats = "store", 3
        self.changed = self.context / "files/changed"

    def warm(self, builder):
        if self.layout and not builder.layouts:
            raise Failed("cannot write an OCI layout")
        if self.state != "cold":
            self.warm_with_context(builder)

    def before(self, builder):
        self.site.remove(self.folder / "layout")
        if self.state == "cold" and builder:
            builder.fresh()
        if self.state == "changed":
            data.write(self.changed, f"round {next(self.rounds)}\n")

    def work(self, builder):
        builder.holds = self.context
        if self.layout:
            return Work(builder.build_to_layout(self.context, self.tag, self.folder / "layout"))
        return super().work(builder)

    def floor(self):
        if self.state == "same":
            return shell(f"cd {self.context}/files; printf '%s\\0' * | xargs -0 -P $(nproc) -n 25 sh -c "
                         "'find \"$@\" -newermt 2100-01-01' -")
        tar = f"tar -C {self.context} --sort=name -cf - ."
        if self.layout:
            return self.scratch(f"{tar} | tee >(sha256sum >diff-id) | {self.site.gzip} | tee layer.gz | sha256sum")
        return self.scratch(f"{tar} | tee layer.tar | sha256sum")

    def wanted(self, path):
        return path.startswith("/files/")

    def check(self, builder):
        if self.state == "same":
            return None  # its files were compared when they were built
        if not self.layout:
            return super().check(builder)
        return self.compare(images.files_of_layout(self.folder / "layout", self.wanted))

    def compare(self, found):
        there = [path for path in (self.context / "files").rglob("*") if path.is_file()]
        if len(found) != len(there):
            raise Failed(f"wrong image: {len(found)} files instead of {len(there)}")
        for path in [there[0], there[-1], *([self.changed] if self.changed.exists() else [])]:
            if found.get(f"/{path.relative_to(self.context)}") != data.sha256(path):
                raise Failed(f"wrong image: {path.name} has other bytes")
