//! Here-documents: scripts and input of RUN, files of COPY and ADD.

use crate::{failure_of, image_of};

/// Builds on busybox and returns the text of `/out`.
fn out(lines: &str) -> String {
    image_of(&format!("FROM busybox\nARG arg=value\n{lines}"), &[("file", "text\n")]).tree().text("/out")
}

#[test]
fn run_takes_a_script() {
    assert_eq!(
        out("RUN <<EOF\nset -e\necho one > /out\necho $arg \\\n  two >> /out\nEOF\n"),
        "one\nvalue two\n"
    );
    // The shell expands, whether the word is quoted or not: it gets the body as its script.
    assert_eq!(out("RUN <<'EOF'\necho $arg > /out\nEOF\n"), "value\n");
    assert_eq!(out("RUN <<-EOF\n\techo one > /out\n\t\techo two >> /out\n\tEOF\n"), "one\ntwo\n");
    assert!(out("SHELL [\"/bin/sh\", \"-ec\"]\nRUN <<EOF\necho $- > /out\nEOF\n").contains('e'));
}

#[test]
fn a_script_that_names_its_interpreter_is_a_program() {
    assert_eq!(
        out("RUN <<EOF\n#!/bin/cat\n$arg\nEOF\nRUN <<NAME\n#!/bin/sh\necho $0 $arg > /out\nNAME\n"),
        "/dev/pipes/NAME value\n"
    );
    failure_of("FROM busybox\nRUN <<EOF\n#!/no/such\nEOF\n", &[]).says("Dockerfile:2");
}

#[test]
fn a_command_reads_its_here_documents() {
    assert_eq!(out("RUN cat <<EOF > /out\n$arg\n# no comment\n\\$arg\nEOF\n"), "value\n# no comment\n$arg\n");
    assert_eq!(out("RUN cat > /out <<'EOF'\n$arg\nEOF\n"), "$arg\n");
    assert_eq!(out("RUN cat - /dev/fd/3 <<one 3<<-two > /out\n1\none\n\t2\n\ttwo\n"), "1\n2\n");
    assert_eq!(out("RUN sh <<EOF\necho inner > /out\nEOF\n"), "inner\n");
    assert_eq!(out("RUN echo '<<EOF' \"<<EOF\" > /out\n"), "<<EOF <<EOF\n");
}

#[test]
fn copy_and_add_make_files_of_them() {
    let dockerfile = "FROM busybox\nARG arg=value\n\
        COPY <<plain <<'quoted' file <<-chomped /d/\n$arg 'it' \"is\" \\$arg\nplain\n$arg\nquoted\n\t\tone\n\t two\n\tchomped\n\
        COPY --chmod=640 --chown=7:8 <<EOF /name\n${arg:+set}${none:-unset}\nEOF\n\
        ADD <<EOF /added/\nx\nEOF\n";
    let tree = image_of(dockerfile, &[("file", "text\n")]).tree();
    assert_eq!(tree.below("/d"), ["chomped", "file", "plain", "quoted"]);
    assert_eq!(tree.text("/d/plain"), "value 'it' \"is\" $arg\n");
    assert_eq!(tree.text("/d/quoted"), "$arg\n");
    assert_eq!(tree.text("/d/chomped"), "one\n two\n");
    assert_eq!(tree.text("/added/EOF"), "x\n");
    assert_eq!(tree.get("/d/plain").mode, 0o644);
    let named = tree.get("/name");
    assert_eq!((tree.text("/name").as_str(), named.mode, named.uid, named.gid), ("setunset\n", 0o640, 7, 8));
}

#[test]
fn a_trigger_keeps_its_here_documents() {
    let dockerfile = "FROM busybox AS base\nARG arg=base\nONBUILD RUN cat <<EOF > /run\n$arg\nEOF\n\
        ONBUILD COPY <<EOF /copied\n$arg\nEOF\nFROM base\n";
    let tree = image_of(dockerfile, &[]).tree();
    assert_eq!((tree.text("/run"), tree.text("/copied")), ("base\n".to_owned(), "base\n".to_owned()));
}

#[test]
fn what_does_not_end_or_cannot_be_is_refused_by_line() {
    failure_of("FROM busybox\nRUN <<EOF\ntrue\n", &[]).says("unterminated heredoc").says("Dockerfile:2");
    failure_of("FROM busybox\nCOPY file <<EOF\nEOF\n", &[("file", "")]).says("Dockerfile:2");
    failure_of("FROM busybox\nCOPY <<EOF /x\n${v:?is needed}\nEOF\n", &[])
        .says("is needed")
        .says("Dockerfile:3");
}
