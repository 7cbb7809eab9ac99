//! Who has registered: a pure map.

use door_http::RegistryError;
use door_http::dto::{BrokerEntry, BrokerMap};
use model::limits::PEERS_SOUGHT_MAX;
use reqwest::Url;

use crate::assemble::finding::PeerAddress;

/// Longest address or URL.
const TEXT_BYTES_MAX: usize = 300;

/// Who has registered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Book(BrokerMap);

impl Book {
    /// What was kept; refused when it is no map that this service has written.
    pub(super) fn restore(map: BrokerMap) -> Result<Self, String> {
        let version = map.version;
        let mut book = Self::default();
        for broker in map.brokers {
            match book.register(broker) {
                Ok(true) => {}
                Ok(false) => return Err("a broker stands there twice".to_owned()),
                Err(RegistryError::Invalid(why) | RegistryError::Failed(why)) => return Err(why),
            }
        }
        book.0.version = version;
        Ok(book)
    }

    /// The map as it is.
    pub(super) const fn map(&self) -> &BrokerMap {
        &self.0
    }

    /// Takes a broker up. One at the same peer address is the same broker, and one of the same id is
    /// the same that has moved. Whether anything has changed.
    pub(super) fn register(&mut self, broker: BrokerEntry) -> Result<bool, RegistryError> {
        check(&broker)?;
        let brokers = &mut self.0.brokers;
        if brokers.contains(&broker) {
            return Ok(false);
        }
        let place = brokers.iter().position(|known| known.peer == broker.peer);
        // A node that starts without a cluster says no id; where one is known, it stays.
        let known_id = place.and_then(|place| brokers.get(place)?.id);
        let broker = BrokerEntry {
            id: broker.id.or(known_id),
            ..broker
        };
        if brokers.contains(&broker) {
            return Ok(false);
        }
        let is_full = brokers.len() >= PEERS_SOUGHT_MAX;
        match place.and_then(|place| brokers.get_mut(place)) {
            Some(known) => *known = broker.clone(),
            None if is_full => {
                let why = format!("the map is full: it has {PEERS_SOUGHT_MAX} brokers");
                return Err(RegistryError::Failed(why));
            }
            None => brokers.push(broker.clone()),
        }
        let is_same = |known: &BrokerEntry| known.id.is_some() && known.id == broker.id;
        brokers.retain(|known| known.peer == broker.peer || !is_same(known));
        self.0.version += 1;
        Ok(true)
    }

    /// Forgets a broker. Whether there was one.
    pub(super) fn forget(&mut self, peer: &str) -> bool {
        let before = self.0.brokers.len();
        self.0.brokers.retain(|known| known.peer != peer);
        let has_changed = self.0.brokers.len() < before;
        self.0.version += u64::from(has_changed);
        has_changed
    }
}

fn check(broker: &BrokerEntry) -> Result<(), RegistryError> {
    let invalid = |why: String| Err(RegistryError::Invalid(why));
    if broker.peer.len().max(broker.http.len()) > TEXT_BYTES_MAX {
        return invalid("an address is too long".to_owned());
    }
    if let Err(why) = broker.peer.parse::<PeerAddress>() {
        return invalid(why);
    }
    let is_http = Url::parse(&broker.http).is_ok_and(|url| url.scheme() == "http");
    if is_http {
        return Ok(());
    }
    invalid(format!(
        "'{}' is no address of an HTTP door; write http://HOST:PORT",
        broker.http
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(id: Option<u16>, peer: &str) -> BrokerEntry {
        BrokerEntry {
            id,
            peer: peer.to_owned(),
            http: "http://h:1".to_owned(),
        }
    }

    #[test]
    fn registrations_change_the_map_only_when_they_say_something_new() {
        let mut book = Book::default();
        let steps = [
            (broker(None, "a:1"), true, "a:1=?"),
            (broker(None, "a:1"), false, "a:1=?"),
            (broker(None, "b:1"), true, "a:1=? b:1=?"),
            (broker(Some(0), "a:1"), true, "a:1=0 b:1=?"),
            // The node starts anew: its id is not forgotten.
            (broker(None, "a:1"), false, "a:1=0 b:1=?"),
            (broker(Some(1), "b:1"), true, "a:1=0 b:1=1"),
            // It has moved.
            (broker(Some(0), "c:1"), true, "b:1=1 c:1=0"),
        ];
        let mut version = 0;
        for (entry, changes, expected) in steps {
            assert_eq!(book.register(entry), Ok(changes));
            version += u64::from(changes);
            let shown = book.map().brokers.iter().map(|known| {
                let id = known.id.map_or_else(|| "?".to_owned(), |id| id.to_string());
                format!("{}={id}", known.peer)
            });
            assert_eq!(shown.collect::<Vec<_>>().join(" "), expected);
            assert_eq!(book.map().version, version);
        }
        assert_eq!(Book::restore(book.map().clone()), Ok(book.clone()));
        assert!(book.forget("b:1") && !book.forget("b:1"));
        assert_eq!(book.map().version, version + 1);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let wrong = [
            ("", "http://h:1"),
            ("a:b:c", "http://h:1"),
            ("a:1", "h:1"),
            ("a:1", "https://h:1"),
            ("a:1", ""),
        ];
        for (peer, http) in wrong {
            let broker = BrokerEntry {
                id: None,
                peer: peer.to_owned(),
                http: http.to_owned(),
            };
            let refused = Book::default().register(broker);
            assert!(
                matches!(refused, Err(RegistryError::Invalid(_))),
                "{peer} {http}"
            );
        }
        let long = format!("http://{}", "h".repeat(TEXT_BYTES_MAX));
        let broker = BrokerEntry {
            http: long,
            ..broker(None, "a:1")
        };
        assert!(Book::default().register(broker).is_err());
    }

    #[test]
    fn a_full_map_takes_no_more() {
        let mut book = Book::default();
        for n in 0..PEERS_SOUGHT_MAX {
            assert_eq!(book.register(broker(None, &format!("n{n}:1"))), Ok(true));
        }
        let refused = book.register(broker(None, "one-more:1"));
        assert!(matches!(refused, Err(RegistryError::Failed(_))));
    }
}
