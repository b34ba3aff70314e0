use super::*;

/// The commands, each as its name and arguments between brackets.
fn commands(text: &str) -> Vec<String> {
    let show = |command: &ShellCommand| format!("{}[{}]", command.name, command.arguments.join("|"));
    Script::parse(text).commands.iter().map(show).collect()
}

#[test]
fn operators_part_commands() {
    assert_eq!(commands("a 1 && b; c || d & e\nf"), ["a[1]", "b[]", "c[]", "d[]", "e[]", "f[]"]);
    assert_eq!(commands("(a; b) && { c; }"), ["a[]", "b[]", "c[]"]);
    assert!(Script::parse("a | b").pipes);
    assert!(Script::parse("a |& b").pipes);
    assert!(!Script::parse("a || b").pipes);
    assert!(Script::parse("x=$(a | b)").pipes);
}

#[test]
fn quotes_are_removed_and_hide_operators() {
    assert_eq!(commands(r#"a 'b && c' "d;e" f\ g "h\"i" 'j'"k""#), [r#"a[b && c|d;e|f g|h"i|jk]"#]);
    assert_eq!(commands("a # b && c\nd"), ["a[]", "d[]"]);
    assert_eq!(commands("a b#c"), ["a[b#c]"]);
}

#[test]
fn expansions_stand_as_a_mark() {
    assert_eq!(commands("a $x ${y:-b} \"$z\" p=$v"), ["a[${VAR}|${VAR}|${VAR}|p=${VAR}]"]);
    assert_eq!(commands("a $(b c) `d e` $((1 + (2)))"), ["b[c]", "d[e]", "a[${VAR}|${VAR}|${VAR}]"]);
    assert_eq!(commands("$x a"), [""; 0]);
    assert_eq!(commands("a {b,c} {} $"), ["a[|{}|$]"]);
}

#[test]
fn keywords_are_no_commands() {
    assert_eq!(commands("if a; then b; elif c; then d; else e; fi"), ["a[]", "b[]", "c[]", "d[]", "e[]"]);
    assert_eq!(commands("for x in 1 2; do a $x; done > /y"), ["a[${VAR}]"]);
    assert_eq!(commands("for ((i=0;i<3;i++)); do a; done"), ["a[]"]);
    assert_eq!(commands("while ! a; do b; done"), ["a[]", "b[]"]);
    assert_eq!(commands("case $x in a|b) c;; (d) e ;; *) f; esac; g"), ["c[]", "e[]", "f[]", "g[]"]);
    assert_eq!(commands("f() { a; }; function g { b; }; f"), ["a[]", "b[]", "f[]"]);
    assert_eq!(commands("[ -f x ] && [[ a && b ]] || test y"), ["test[y]"]);
    assert_eq!(commands("echo if"), ["echo[if]"]);
}

#[test]
fn assignments_redirections_and_wrappers_are_no_words() {
    assert_eq!(commands("A=1 B=$(c) d > e 2>&1 < f &> g >> h"), ["c[]", "d[]"]);
    assert_eq!(commands("a=(b c) d; e[1]=2"), ["d[]"]);
    assert_eq!(commands("cat <<X > y && z\nnot && this\nX\nq"), ["cat[]", "z[]", "q[]"]);
    assert_eq!(commands("a <(b) <<< c"), ["b[]", "a[${VAR}]"]);
    assert_eq!(commands("command a b; exec -c d; busybox e"), ["a[a|b]", "d[-c|d]", "e[e]"]);
}

#[test]
fn what_no_shell_runs_has_no_commands() {
    for text in ["a 'b", "a \"b", "(a", "a)", "a $(b", "if a; then b", "a; fi", "a ${b", "a `b", "[ a", "a <"]
    {
        assert_eq!(commands(text), [""; 0], "{text}");
    }
    assert_eq!(commands(&"$(".repeat(100_000)), [""; 0]);
    assert_eq!(commands(&"(".repeat(100_000)), [""; 0]);
    assert_eq!(commands(&"${a:-".repeat(100_000)), [""; 0]);
    assert_eq!(commands(&format!("a {}", "`".repeat(9999))), [""; 0]);
}

#[test]
fn flags_and_operands() {
    let command = |text: &str| Script::parse(text).commands.remove(0);
    let install = command("apt-get -qqy install -t stable a=1 --target-release=x b -- -");
    assert!(install.is("apt-get", &["install"]));
    assert!(install.has_flag(&["y"]) && install.has_flag(&["target-release"]));
    assert!(!install.has_flag(&["yes", "x", "-"]));
    assert_eq!(install.count_flag('q'), 2);
    assert_eq!(install.operands().collect::<Vec<_>>(), ["install", "stable", "a=1", "b", "--", "-"]);
    assert_eq!(install.operands_beside(&["t", "target-release"]), ["install", "a=1", "b", "--", "-"]);
}
