//! The map of brokers in a file, which is written whole and put in place at once.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use door_http::dto::{BrokerEntry, BrokerMap};
use door_http::{Registry, RegistryError};
use futures_util::future::BoxFuture;
use model::limits::BROKER_MAP_BYTES_MAX;
use tokio::sync::{Mutex, watch};

use super::book::Book;
use crate::exit::{Failure, Outcome};

/// The map of brokers in a file.
#[derive(Debug)]
pub(crate) struct FileRegistry {
    path: Arc<PathBuf>,
    /// One change at a time: each is on disk before the next begins.
    book: Mutex<Book>,
    map: watch::Sender<BrokerMap>,
}

impl FileRegistry {
    /// Reads the file, if there is one.
    pub(crate) fn open(path: PathBuf) -> Outcome<Self> {
        let book = read(&path)
            .map_err(|why| Failure::config(format!("map of brokers {}: {why}", path.display())))?;
        let (map, _) = watch::channel(book.map().clone());
        Ok(Self {
            path: Arc::new(path),
            book: Mutex::new(book),
            map,
        })
    }

    /// The map, and a bell for its changes.
    pub(crate) fn changes(&self) -> watch::Receiver<BrokerMap> {
        self.map.subscribe()
    }

    async fn change(
        &self,
        change: impl FnOnce(&mut Book) -> Result<bool, RegistryError>,
    ) -> Result<BrokerMap, RegistryError> {
        let mut book = self.book.lock().await;
        let mut changed = book.clone();
        if change(&mut changed)? {
            let (path, map) = (Arc::clone(&self.path), changed.map().clone());
            let written = tokio::task::spawn_blocking(move || write(&path, &map)).await;
            written
                .map_err(|error| error.to_string())
                .and_then(|written| written.map_err(|error| error.to_string()))
                .map_err(|why| RegistryError::Failed(format!("cannot keep the map: {why}")))?;
            *book = changed;
            self.map.send_replace(book.map().clone());
        }
        Ok(book.map().clone())
    }
}

impl Registry for FileRegistry {
    fn register(&self, broker: BrokerEntry) -> BoxFuture<'_, Result<BrokerMap, RegistryError>> {
        Box::pin(self.change(|book| book.register(broker)))
    }

    fn forget(&self, peer: String) -> BoxFuture<'_, Result<BrokerMap, RegistryError>> {
        Box::pin(self.change(move |book| Ok(book.forget(&peer))))
    }

    fn map(&self) -> BrokerMap {
        self.map.borrow().clone()
    }
}

fn read(path: &Path) -> Result<Book, String> {
    let length = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Book::default()),
        Err(error) => return Err(error.to_string()),
    };
    if usize::try_from(length).is_ok_and(|length| length > BROKER_MAP_BYTES_MAX) {
        return Err(format!("{length} bytes are too many for a map of brokers"));
    }
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let map = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    Book::restore(map)
}

/// Either the old map is there afterwards, or the new one.
fn write(path: &Path, map: &BrokerMap) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(map)?;
    text.push(b'\n');
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = fs::File::create(&beside)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    fs::File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(peer: &str) -> BrokerEntry {
        BrokerEntry {
            id: None,
            peer: peer.to_owned(),
            http: "http://h:1".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_service_that_starts_again_has_forgotten_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("brokers.json");
        let registry = FileRegistry::open(path.clone()).unwrap();
        registry.register(broker("a:1")).await.unwrap();
        let map = registry.register(broker("b:1")).await.unwrap();
        drop(registry);
        let again = FileRegistry::open(path).unwrap();
        assert_eq!(again.map(), map);
        assert_eq!(map.version, 2);
    }

    #[tokio::test]
    async fn only_changes_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let registry = FileRegistry::open(directory.path().join("brokers.json")).unwrap();
        let mut changes = registry.changes();
        registry.register(broker("a:1")).await.unwrap();
        assert!(changes.has_changed().unwrap());
        assert_eq!(changes.borrow_and_update().brokers, [broker("a:1")]);
        registry.register(broker("a:1")).await.unwrap();
        registry.forget("b:1".to_owned()).await.unwrap();
        assert!(!changes.has_changed().unwrap());
        registry.forget("a:1".to_owned()).await.unwrap();
        assert!(changes.borrow_and_update().brokers.is_empty());
    }

    #[tokio::test]
    async fn what_cannot_be_kept_is_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let gone = directory.path().join("gone");
        let registry = FileRegistry::open(gone.join("brokers.json")).unwrap();
        let refused = registry.register(broker("a:1")).await;
        assert!(
            matches!(refused, Err(RegistryError::Failed(_))),
            "{refused:?}"
        );
        assert_eq!(registry.map(), BrokerMap::default());
    }

    #[test]
    fn a_file_that_is_no_map_is_refused_with_the_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("brokers.json");
        for wrong in [
            "",
            "[]",
            r#"{"version": 1, "brokers": [{"peer": "a:1"}]}"#,
            r#"{"version": 1, "brokers": [{"peer": "/", "http": "http://h:1"}]}"#,
        ] {
            fs::write(&path, wrong).unwrap();
            let failure = FileRegistry::open(path.clone()).unwrap_err();
            assert_eq!(failure.exit, crate::exit::Exit::Config);
            assert!(failure.message.contains("brokers.json: "), "{failure}");
        }
    }
}
