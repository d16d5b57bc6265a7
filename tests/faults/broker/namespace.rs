//! A network of two: a namespace where the program runs, and a pair of interfaces between it and the test.

use std::process::Command;

/// Interfaces, namespace and packet filter, gone when this is.
pub(crate) struct Namespace {
    name: String,
    /// Of the test's side, and of the namespace's.
    pub(crate) outside: String,
    pub(crate) inside: String,
}

impl Namespace {
    /// Why there can be none where there can be none: it takes root, `ip` and `nft`.
    pub(crate) fn create() -> Result<Self, String> {
        // A network of four addresses in 10.213.0.0/16 for each test process.
        let at = rand::random_range(0..0x4000_u16) * 4;
        let address = |host: u16| format!("10.213.{}.{}", (at + host) >> 8, (at + host) & 0xff);
        let namespace = Self { name: format!("pn{at:05}"), outside: address(1), inside: address(2) };
        let Self { name, outside, inside } = &namespace;
        let (near, far) = (format!("{name}a"), format!("{name}b"));
        for line in [
            "nft --version".to_owned(),
            format!("ip netns add {name}"),
            format!("ip link add {near} type veth peer name {far} netns {name}"),
            format!("ip address add {outside}/30 dev {near}"),
            format!("ip link set {near} up"),
            format!("ip -n {name} address add {inside}/30 dev {far}"),
            format!("ip -n {name} link set {far} up"),
            format!("ip -n {name} link set lo up"),
            format!("ip netns exec {name} nft add table inet faults"),
        ] {
            call(&line)?;
        }
        Ok(namespace)
    }

    /// What a program's command line starts with, so that it runs inside.
    pub(crate) fn wrapper(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.name]
    }

    /// Packets to and from this TCP port vanish from here on, and nobody is told.
    pub(crate) fn cut(&self, port: u16) {
        let name = &self.name;
        for line in [
            "add chain inet faults in { type filter hook input priority 0 ; }".to_owned(),
            "add chain inet faults out { type filter hook output priority 0 ; }".to_owned(),
            format!("add rule inet faults in tcp sport {port} drop"),
            format!("add rule inet faults out tcp dport {port} drop"),
        ] {
            call(&format!("ip netns exec {name} nft {line}")).expect("a packet filter");
        }
    }

    /// They come through again.
    pub(crate) fn heal(&self) {
        let name = &self.name;
        call(&format!("ip netns exec {name} nft delete chain inet faults in")).expect("the filter is there");
        call(&format!("ip netns exec {name} nft delete chain inet faults out")).expect("the filter is there");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The interfaces and the filter go with it.
        drop(call(&format!("ip netns delete {}", self.name)));
    }
}

fn call(line: &str) -> Result<(), String> {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap_or_default()).args(words).output();
    let output = output.map_err(|error| format!("{line}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{line}: {}", said.trim())) }
}
