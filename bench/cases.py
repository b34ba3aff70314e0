"""Every case with its targets, in the order of the table."""

from case import Target
from compiled import C, Compiled, CopyOnly, Go
from contexts import Context
from steps import FromLarge, Stages, Steps, Together
from transfer import Transfer

TEN_THOUSAND = "mkdir {0}d && cd {0}d && i=0; while [ $i -lt 10000 ]; do echo $i >$i; i=$((i+1)); done"


def all_cases(site):
    """Every case, in the order of the table."""
    go, c = Go(), C()
    files = {"count": 50_000, "size": 10_000}
    one = {"count": 1, "size": 1_000_000_000}
    peer, floor = (lambda bound: Target("peer", bound)), (lambda bound: Target("floor", bound))
    return [
        Compiled("go-cold", "a. go multi-stage, cold, base with a warm build cache", site, language=go,
                 targets=[peer(1.3), floor(1.1)]),
        Compiled("go-noop", "b. go multi-stage, nothing changed", site, language=go, state="same",
                 targets=[peer(10), Target("seconds", 0.012)]),
        Compiled("go-changed", "c. go multi-stage, one source file changed", site, language=go, state="changed"),
        Compiled("c-cold", "a. C multi-stage, cold", site, language=c),
        CopyOnly("scratch-cold", "a. COPY of one program onto scratch, cold", site),
        CopyOnly("distroless-cold", "a. COPY of one program onto distroless, cold", site,
                 base="gcr.io/distroless/static-debian12"),
        CopyOnly("scratch-noop", "b. COPY onto scratch, nothing changed", site, state="same",
                 targets=[peer(10), Target("seconds", 0.012)]),
        Context("files-cold", "d. COPY of 50,000 files (500 MB), cold", site, **files, targets=[peer(3), floor(1.5)]),
        Context("files-noop", "b. context of 50,000 files, nothing changed", site, **files, state="same",
                targets=[peer(15), floor(2)]),
        Context("files-changed", "c. context of 50,000 files, one changed", site, **files, state="changed"),
        Context("large-cold", "d. COPY of one file of 1 GB, cold, to the own store", site, **one),
        Context("large-layout", "d. COPY of one file of 1 GB, cold, to an OCI layout (gzip)", site, **one, layout=True,
                targets=[peer(2), floor(1.3)]),
        Steps("run-30", "e. 30 times RUN true", site, run=["true"] * 30, steps=30,
              bare="for i in $(seq 30); do /bin/busybox true; done",
              targets=[peer(10), Target("each", 0.005), Target("each-subids", 0.010)]),
        Steps("run-files", "e. RUN that writes 10,000 files", site, run=[TEN_THOUSAND.format("/")], path="/d/9999",
              bare=f"/bin/busybox sh -c '{TEN_THOUSAND.format('')}'"),
        Stages("stages", "f. eight stages of sleep 1", site, targets=[Target("seconds", 1.1)]),
        Transfer("push-gzip", "g. build and push 500 MB, gzip", site),
        Transfer("push-zstd", "g. build and push 500 MB, zstd", site, zstd=True),
        Transfer("push-again", "g. push again", site, verb="again"),
        Transfer("pull", "g. pull 500 MB (gzip), unpack, RUN ls", site, verb="pull"),
        FromLarge("from-large", "h. COPY --from of a small file of a 1 GB stage, warm", site, targets=[peer(10)]),
        Together("ten", "i. ten builds at once, one store", site),
    ]
