//! Where a node learns of its first peers: a list, names behind which there may be several nodes, and
//! a discovery service.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::{PeerAddress, seeking::Entry};
use crate::discovery;

/// A name server that takes longer is as good as none.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a node learns of its first peers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// As written by a person.
    pub list: Vec<PeerAddress>,
    /// A service that knows who has started.
    pub discovery: Option<discovery::Client>,
}

impl Sources {
    /// Whether finding nobody but this node means that there is nobody. A name may bring others in a
    /// moment. A discovery service gives everyone those who came before: nobody is first twice.
    pub(crate) fn may_stand_alone(&self) -> bool {
        self.list.iter().all(|address| address.literal().is_some())
    }

    /// Looks everywhere, once.
    pub(crate) async fn look(&self) -> Vec<Entry> {
        let mut entries = futures_util::future::join_all(self.list.iter().map(resolved)).await;
        if let Some(discovery) = &self.discovery {
            entries.push(registered(discovery).await);
        }
        entries
    }
}

async fn registered(discovery: &discovery::Client) -> Entry {
    let addresses = discovery.register(None).await.map(|brokers| {
        let peers = brokers.into_iter().map(|broker| broker.peer);
        peers.filter_map(|peer| peer.parse().ok()).collect()
    });
    Entry {
        written: discovery.to_string(),
        addresses,
    }
}

async fn resolved(written: &PeerAddress) -> Entry {
    let addresses = match written.literal() {
        Some(_) => Ok(vec![written.clone()]),
        None => look_up(written).await,
    };
    Entry {
        written: written.to_string(),
        addresses,
    }
}

/// All addresses of a name: behind one name there may be many nodes.
async fn look_up(name: &PeerAddress) -> Result<Vec<PeerAddress>, String> {
    let asked = tokio::net::lookup_host((name.host(), name.port()));
    let found = tokio::time::timeout(LOOKUP_TIMEOUT, asked)
        .await
        .map_err(|_| "the name server does not answer".to_owned())?
        .map_err(|_| "the name is not known".to_owned())?;
    let addresses = of_one_family(found.collect());
    if addresses.is_empty() {
        return Err("the name has no address".to_owned());
    }
    Ok(addresses.into_iter().map(PeerAddress::from).collect())
}

/// A node that listens on one family of addresses must not be waited for on the other.
fn of_one_family(found: BTreeSet<SocketAddr>) -> BTreeSet<SocketAddr> {
    let has_ipv4 = found.iter().any(SocketAddr::is_ipv4);
    let wanted = |address: &SocketAddr| address.is_ipv4() == has_ipv4;
    found.into_iter().filter(wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_addresses_of_one_family() {
        let cases: [(&[&str], &[&str]); 3] = [
            (&["[::1]:1", "127.0.0.1:1"], &["127.0.0.1:1"]),
            (&["[::1]:1", "[::2]:1"], &["[::1]:1", "[::2]:1"]),
            (&["10.0.0.2:1", "10.0.0.1:1"], &["10.0.0.1:1", "10.0.0.2:1"]),
        ];
        for (found, expected) in cases {
            let parsed = found.iter().map(|text| text.parse().unwrap()).collect();
            let kept: Vec<String> = of_one_family(parsed)
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(kept, expected);
        }
    }

    #[tokio::test]
    async fn names_are_looked_up_and_numbers_are_not() {
        let list = ["localhost:1", "192.0.2.1:2"].map(|text| text.parse().unwrap());
        let sources = Sources {
            list: list.to_vec(),
            discovery: None,
        };
        assert!(!sources.may_stand_alone());
        let entries = sources.look().await;
        let ones: Vec<_> = entries.into_iter().map(|entry| entry.addresses).collect();
        let expected = ["127.0.0.1:1", "192.0.2.1:2"].map(|a| Ok(vec![a.parse().unwrap()]));
        assert_eq!(ones, expected);
    }
}
