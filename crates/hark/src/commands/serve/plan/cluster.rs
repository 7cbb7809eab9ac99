//! What of a plan concerns other nodes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use model::{NodeId, Site};

use super::super::ServeOptions;
use crate::assemble::ClusterPlan;
use crate::assemble::finding::{PEER_PORT_DEFAULT, PeerAddress, PeersFile};
use crate::exit::{Failure, Outcome};

/// Longest name of a rack.
const RACK_BYTES_MAX: usize = 64;

/// Who the node is to be, and where it looks for others.
pub(super) fn plan(options: &ServeOptions) -> Outcome<ClusterPlan> {
    let file = options.peers_file.as_deref().map(PeersFile::read);
    let file = file.transpose()?;
    let me = Me::find(options.id.as_deref(), file.as_ref())?;
    let bind = options.peer_address.or_else(|| me.bind());
    let advertise = options.advertise.clone().or_else(|| me.host());
    check_advertised(advertise.as_deref(), bind)?;
    check_rack(options.rack.as_deref())?;
    check_site(options.site, me.id)?;
    let of_file = file.iter().flat_map(PeersFile::addresses);
    let others = of_file.filter(|address| Some(*address) != me.address.as_ref());
    Ok(ClusterPlan {
        wanted: me.id,
        site: options.site.unwrap_or(Site::EVERYWHERE),
        peers: options.peers.iter().chain(others).cloned().collect(),
        discovery: options.discovery.clone(),
        bootstrap: options.bootstrap,
        bind: bind
            .unwrap_or_else(|| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PEER_PORT_DEFAULT)),
        takes_any_port: bind.is_none(),
        advertise,
        rack: options.rack.clone(),
        directory: options.cluster_dir.clone(),
    })
}

/// This node, as far as it is told who it is.
#[derive(Debug, Default)]
struct Me {
    id: Option<NodeId>,
    /// From the peers file.
    address: Option<PeerAddress>,
}

impl Me {
    /// A name of the peers file comes before a number.
    fn find(id: Option<&str>, file: Option<&PeersFile>) -> Outcome<Self> {
        let Some(text) = id else {
            return Ok(Self::default());
        };
        if let Some((id, address)) = file.and_then(|file| file.node(text)) {
            return Ok(Self {
                id: Some(id),
                address: Some(address.clone()),
            });
        }
        let names = file.map_or_else(String::new, |file| {
            format!("; the names in the peers file are {}", file.names())
        });
        match text.parse() {
            Ok(id) => Ok(Self {
                id: Some(id),
                address: None,
            }),
            Err(error) => Err(Failure::config(format!("id '{text}': {error}{names}"))),
        }
    }

    /// What the file says of this node is where it listens, if that is an address of this machine.
    fn bind(&self) -> Option<SocketAddr> {
        let address = self.address.as_ref()?;
        let ip = match address.literal() {
            Some(literal) => literal.ip(),
            None if address.host() == "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        Some(SocketAddr::new(ip, address.port()))
    }

    fn host(&self) -> Option<String> {
        let address = self.address.as_ref()?;
        Some(address.host().to_owned())
    }
}

fn check_advertised(advertise: Option<&str>, bind: Option<SocketAddr>) -> Outcome {
    match (advertise, bind) {
        (Some(host), _) if PeerAddress::new(host, 1).is_none() => Err(Failure::config(format!(
            "advertise '{host}': write a name or an IP address, without a port"
        ))),
        (None, Some(bind)) if bind.ip().is_unspecified() => Err(Failure::config(format!(
            "peer-address {bind} means every address of this machine; say with --advertise HOST \
             under which of them other nodes reach it"
        ))),
        _ => Ok(()),
    }
}

fn check_rack(rack: Option<&str>) -> Outcome {
    let fits = |rack: &str| {
        (1..=RACK_BYTES_MAX).contains(&rack.len()) && !rack.chars().any(char::is_control)
    };
    match rack {
        Some(rack) if !fits(rack) => Err(Failure::config(format!(
            "rack '{rack}': 1 to {RACK_BYTES_MAX} bytes without control characters"
        ))),
        _ => Ok(()),
    }
}

fn check_site(site: Option<Site>, id: Option<NodeId>) -> Outcome {
    match (site, id) {
        (Some(site), Some(id)) if !site.contains(id) => {
            Err(Failure::config(format!("id {id} is not in site {site}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const FILE: &str = r#"{"A": ["10.0.0.1", 7], "B": ["localhost", 8], "C": ["c.example", 9]}"#;

    fn options(id: Option<&str>) -> (tempfile::NamedTempFile, ServeOptions) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(FILE.as_bytes()).unwrap();
        let options = ServeOptions {
            id: id.map(str::to_owned),
            peers_file: Some(file.path().to_owned()),
            ..ServeOptions::default()
        };
        (file, options)
    }

    #[test]
    fn the_peers_file_says_who_and_where_a_node_is() {
        let everyone = "10.0.0.1:7 localhost:8 c.example:9";
        let cases = [
            (
                "A",
                Some(0),
                "10.0.0.1:7",
                Some("10.0.0.1"),
                "localhost:8 c.example:9",
            ),
            (
                "B",
                Some(1),
                "127.0.0.1:8",
                Some("localhost"),
                "10.0.0.1:7 c.example:9",
            ),
            (
                "C",
                Some(2),
                "0.0.0.0:9",
                Some("c.example"),
                "10.0.0.1:7 localhost:8",
            ),
            ("011", Some(3), "127.0.0.1:7946", None, everyone),
        ];
        for (id, wanted, bind, advertise, others) in cases {
            let (_file, options) = options(Some(id));
            let plan = plan(&options).unwrap();
            assert_eq!(plan.wanted, wanted.map(NodeId), "{id}");
            assert_eq!(plan.bind.to_string(), bind, "{id}");
            assert_eq!(plan.takes_any_port, advertise.is_none(), "{id}");
            assert_eq!(plan.advertise.as_deref(), advertise, "{id}");
            let peers: Vec<String> = plan.peers.iter().map(ToString::to_string).collect();
            assert_eq!(peers.join(" "), others, "{id}");
        }
    }

    #[test]
    fn a_name_that_is_not_there_is_answered_with_those_that_are() {
        let (_file, options) = options(Some("D"));
        let failure = plan(&options).unwrap_err();
        assert!(failure.message.contains("A, B, C"), "{failure}");
        let (_file, options) = self::options(None);
        assert_eq!(plan(&options).unwrap().wanted, None);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        type Change = fn(&mut ServeOptions);
        let cases: [(&str, Change); 6] = [
            ("id 'x'", |o| o.id = Some("x".into())),
            ("--advertise", |o| o.peer_address = "0.0.0.0:1".parse().ok()),
            ("without a port", |o| o.advertise = Some("h:1".into())),
            ("rack", |o| o.rack = Some(String::new())),
            ("not in site", |o| {
                o.id = Some("3".into());
                o.site = "01xx".parse().ok();
            }),
            ("peers file", |o| o.peers_file = Some("/nowhere".into())),
        ];
        for (named, change) in cases {
            let mut options = ServeOptions::default();
            change(&mut options);
            let failure = plan(&options).unwrap_err();
            assert!(failure.message.contains(named), "{named}: {failure}");
            assert_eq!(failure.exit, crate::exit::Exit::Config);
        }
    }
}
