use super::*;

fn put(key: Key, value: &[u8]) -> Change {
    Change::Put(key, value.to_vec())
}

#[tokio::test]
async fn what_was_committed_is_there_after_opening_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = SqliteStore::path_in(directory.path());
    let batches = [
        vec![put(Key::Identity, b"me"), put(Key::Vote, b"1")],
        (0..9)
            .map(|n| Change::Append(n, vec![7; n as usize]))
            .collect(),
        vec![Change::TruncateFrom(7), Change::Append(7, vec![1])],
        vec![Change::PurgeTo(3), put(Key::Vote, b"2")],
    ];
    let mut expected = Saved::default();
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.load().await, Ok(Saved::default()));
    for batch in batches {
        store.commit(batch.clone()).await.unwrap();
        batch.into_iter().for_each(|change| expected.apply(change));
    }
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.load().await, Ok(expected));
}

#[tokio::test]
async fn a_database_of_a_later_release_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = SqliteStore::path_in(directory.path());
    drop(SqliteStore::open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 9).unwrap();
    drop(connection);
    let expected = StoreError::Version {
        found: 9,
        expected: 1,
    };
    assert_eq!(SqliteStore::open(&path).unwrap_err(), expected);
}

#[test]
fn a_file_that_is_no_database_is_named_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let path = SqliteStore::path_in(directory.path());
    std::fs::write(&path, vec![0xA5; 8192]).unwrap();
    let error = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
}
