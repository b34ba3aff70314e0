fn main() {
    jettison_sandbox::intercept();
    let id = jettison_sandbox::enter(None).unwrap();
    eprintln!("{id:?} {}", id.fingerprint());
    let dir = std::env::temp_dir().join(format!("jt{}", std::process::id()));
    std::fs::create_dir_all(dir.join("base/bin")).unwrap();
    std::fs::copy("/bin/busybox", dir.join("base/bin/busybox")).unwrap();
    std::os::unix::fs::symlink("busybox", dir.join("base/bin/sh")).unwrap();
    for n in ["u", "w"] {
        std::fs::create_dir(dir.join(n)).unwrap();
    }
    let spec = jettison_sandbox::Spec {
        root: jettison_sandbox::Root::Overlay { lower: vec![dir.join("base")], upper: dir.join("u"), work: dir.join("w") },
        args: vec!["sh".into(), "-c".into(), std::env::args().nth(1).unwrap_or("busybox id; busybox ls -la / /dev /etc; busybox cat /proc/self/status /proc/mounts; busybox find /sys -maxdepth 1; busybox ip a; busybox env".into())],
        env: vec!["PATH=/bin".into()], cwd: "/work/dir".into(), user: Default::default(), hostname: "box".into(),
        extra_hosts: vec![], network: if std::env::args().nth(2).is_some() {jettison_sandbox::Network::Default} else {jettison_sandbox::Network::None}, mounts: vec![], interactive: false,
    };
    let stdio = jettison_sandbox::Stdio3::inherit().unwrap();
    let r = jettison_sandbox::spawn(&id, &spec, stdio).unwrap().wait();
    eprintln!("{r:?}");
    for e in std::process::Command::new("find")
        .arg(dir.join("u"))
        .arg(dir.as_path())
        .output()
        .unwrap()
        .stdout
        .split(|b| *b == 10)
    {
        eprintln!("{}", String::from_utf8_lossy(e));
    }
    let _ = std::process::Command::new("rm").arg("-rf").arg(&dir).status();
}
