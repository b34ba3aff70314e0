"""Cases e, f, h and i: steps on a base that the store has."""

import data
import images
from case import Case
from measure import Failed, Work


class Steps(Case):
    """RUN steps on a busybox base that the store has; executed every time (--no-cache)."""

    run = ()  # the commands
    cold = "the steps (--no-cache); the base is in the store"
    path = None  # a file that must be in the image
    bare = ":"

    def prepare(self):
        self.dockerfile(f"FROM {self.site.busybox}", *(f"RUN {command}" for command in self.run))

    def warm(self, builder):
        builder.fresh()
        builder.call(builder.build(self.context, self.tag))

    def work(self, builder):
        return Work([builder.build(self.context, self.tag, "--no-cache")])

    def floor(self):
        return self.scratch(self.bare)

    def check(self, builder):
        if self.path:
            super().check(builder)

    def expected(self):
        return {self.path: None}


class Stages(Case):
    """Eight independent stages of one second each."""

    cold = "the steps (--no-cache); the base is in the store"
    repeats = 3

    def prepare(self):
        lines = []
        for number in range(8):
            lines += [f"FROM {self.site.busybox} AS stage{number}", f"RUN sleep 1; echo {number} >/file{number}"]
        copies = [f"COPY --from=stage{number} /file{number} /" for number in range(8)]
        self.dockerfile(*lines, "FROM scratch", *copies)

    def warm(self, builder):
        builder.fresh()
        builder.call(builder.build(self.context, self.tag))

    def work(self, builder):
        return Work([builder.build(self.context, self.tag, "--no-cache")])

    def floor(self):
        return self.scratch("for i in 0 1 2 3 4 5 6 7; do { sleep 1; echo $i >file$i; } & done; wait")

    def expected(self):
        return {f"/file{number}": None for number in range(8)}


class FromLarge(Case):
    """COPY --from of one small file out of a stage of 1 GB that is in the cache; the destination is new every time."""

    cold = "the COPY; the stage is in the cache"

    def prepare(self):
        self.write(0)

    def write(self, number):
        make = ("for i in 1 2 3 4 5 6 7 8; do head -c 64000000 /dev/urandom >/large$i; head -c 64000000 /dev/zero >>/large$i; "
                "done; echo small >/small")
        self.dockerfile(f"FROM {self.site.busybox} AS large", f"RUN {make}", "FROM scratch",
                        f"COPY --from=large /small /small{number}")
        self.round = number

    def warm(self, builder):
        builder.fresh()
        builder.call(builder.build(self.context, self.tag))

    def before(self, builder):
        self.write(next(self.rounds))

    def floor(self):
        return self.scratch("echo small >small; cp small copy; sha256sum copy")

    def expected(self):
        return {f"/small{self.round}": images.digest(b"small\n").removeprefix("sha256:")}


class Together(Case):
    """Ten builds at once that share one store."""

    cold = "the steps; the base is in the store"
    repeats = 3

    def prepare(self):
        for number in range(10):
            self.write(number, 0)

    def write(self, number, round_):
        context = self.folder / f"context{number}"
        data.write(context / "file", f"build {number} round {round_}\n")
        data.write(context / "Dockerfile", f"FROM {self.site.busybox}\nCOPY file /\nRUN cat /file >/seen\n")

    def warm(self, builder):
        builder.fresh()
        builder.call(builder.build(self.folder / "context0", self.tag))

    def before(self, builder):
        self.round = next(self.rounds)
        for number in range(10):
            self.write(number, self.round)

    def work(self, builder):
        builds = [builder.build(self.folder / f"context{number}", self.tag.replace(":1", f":{number}")) for number in range(10)]
        return Work(builds, together=True)

    def floor(self):
        return self.scratch(f"for i in 0 1 2 3 4 5 6 7 8 9; do (cp {self.folder}/context$i/file f$i; cat f$i >seen$i) & done; wait")

    def check(self, builder):
        for number in (0, 9):
            archive = self.folder / "archive.tar"
            builder.call(builder.save(self.tag.replace(":1", f":{number}"), archive))
            wanted = images.digest(f"build {number} round {self.round}\n".encode()).removeprefix("sha256:")
            found = images.files_of_archive(archive, lambda path: path == "/seen")
            archive.unlink()
            if found.get("/seen") != wanted:
                raise Failed(f"wrong image: build {number} has another /seen")
