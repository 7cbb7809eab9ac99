//! A network of its own whose links can be cut: a network namespace for each node, joined by a
//! bridge. It needs Linux, `ip`, and the right to use them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The port of HTTP in every namespace.
const HTTP_PORT: u16 = 7070;
/// The port for other nodes.
const PEER_PORT: u16 = 7946;
/// A hardware address that nobody has: what is sent to it is lost without a word.
const NOBODY: &str = "02:00:00:00:00:00";

/// Namespaces joined by a bridge; removed when dropped.
#[derive(Debug)]
pub struct Net {
    /// Begins the names of everything that is made here.
    name: String,
    /// The third byte of all addresses.
    subnet: u8,
    nodes: u8,
}

impl Net {
    /// A network for so many nodes.
    ///
    /// # Errors
    /// When this machine does not allow it: the message says what did not work.
    pub fn new(nodes: u8) -> Result<Self> {
        let pid = std::process::id();
        let net = Self {
            // An interface has at most 15 characters.
            name: format!("hk{}", pid % 1_000_000),
            subnet: u8::try_from(pid % 251)?,
            nodes,
        };
        net.make()?;
        Ok(net)
    }

    fn make(&self) -> Result<()> {
        let bridge = format!("{}b", self.name);
        ip(&format!("link add {bridge} type bridge"))?;
        ip(&format!("addr add {}/24 dev {bridge}", self.ip(self.nodes)))?;
        ip(&format!("link set {bridge} up"))?;
        for n in 0..self.nodes {
            let (space, link) = (self.namespace(n), format!("{}v{n}", self.name));
            ip(&format!("netns add {space}"))?;
            ip(&format!(
                "link add {link} type veth peer name eth0 netns {space}"
            ))?;
            ip(&format!("link set {link} master {bridge} up"))?;
            ip(&format!("-n {space} addr add {}/24 dev eth0", self.ip(n)))?;
            ip(&format!("-n {space} link set eth0 up"))?;
            ip(&format!("-n {space} link set lo up"))?;
        }
        Ok(())
    }

    /// Where a node runs.
    #[must_use]
    pub fn namespace(&self, n: u8) -> String {
        format!("{}n{n}", self.name)
    }

    /// Where it serves HTTP; the test reaches it there whatever is cut.
    #[must_use]
    pub fn http(&self, n: u8) -> SocketAddr {
        SocketAddr::new(self.ip(n), HTTP_PORT)
    }

    /// Where other nodes reach it.
    #[must_use]
    pub fn peer(&self, n: u8) -> SocketAddr {
        SocketAddr::new(self.ip(n), PEER_PORT)
    }

    const fn ip(&self, n: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 217, self.subnet, n + 1))
    }

    /// From now on nothing that `from` sends reaches `to`.
    pub fn cut(&self, from: u8, to: u8) -> Result<()> {
        let (space, to) = (self.namespace(from), self.ip(to));
        ip(&format!(
            "-n {space} neigh replace {to} lladdr {NOBODY} dev eth0 nud permanent"
        ))
    }

    /// From now on it does again.
    pub fn mend(&self, from: u8, to: u8) -> Result<()> {
        let (space, to) = (self.namespace(from), self.ip(to));
        ip(&format!("-n {space} neigh del {to} dev eth0"))
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // The links first: the kernel takes its time over what is in a namespace.
        for n in 0..self.nodes {
            drop(ip(&format!("link del {}v{n}", self.name)));
            drop(ip(&format!("netns del {}", self.namespace(n))));
        }
        drop(ip(&format!("link del {}b", self.name)));
    }
}

/// Runs `ip` with these words.
fn ip(words: &str) -> Result<()> {
    let output = Command::new("ip").args(words.split(' ')).output();
    let output = output.context("start ip")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {words}: {}", complaint.trim());
    Ok(())
}
