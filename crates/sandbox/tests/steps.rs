fn main() {
    jettison_sandbox::intercept();
}
