//! Ports for nodes.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result, bail};

/// Below the range from which the system gives ports to connections: a node that is away must find
/// its port free when it comes back.
const FIRST: u16 = 20_000;
/// Each test process has a block for itself: nobody else may take the port of a node that is away.
const BLOCKS: u16 = 60;
const PORTS_PER_BLOCK: u16 = 200;

/// A port of this machine that nobody has, for TCP and UDP, and that this process gives only once.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = block()?;
    loop {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        if n >= PORTS_PER_BLOCK {
            bail!("this process has used up its {PORTS_PER_BLOCK} ports from {first}");
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, first + n));
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return Ok(first + n);
        }
    }
}

/// The first port of this process's block.
fn block() -> Result<u16> {
    /// Locked for as long as the process lives.
    static BLOCK: OnceLock<Option<(u16, File)>> = OnceLock::new();
    let block = BLOCK.get_or_init(|| (0..BLOCKS).find_map(|n| Some((n, locked(n)?))));
    let (n, _) = block.as_ref().context("no block of ports is free")?;
    Ok(FIRST + n * PORTS_PER_BLOCK)
}

fn locked(block: u16) -> Option<File> {
    let path = std::env::temp_dir().join(format!("hark-test-ports-{block}"));
    let file = File::options().create(true).append(true).open(path).ok()?;
    file.try_lock().ok()?;
    Some(file)
}
