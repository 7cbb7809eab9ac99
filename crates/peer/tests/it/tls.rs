//! Certificates: whose, for whom, from whom; and the files they are in.

use std::path::Path;
use std::sync::Arc;

use model::NodeId;
use peer::pki::{self, Authority, Holder, Identity};
use peer::{
    CallError, ClusterKey, ClusterKeys, RejectionCode, Security, SecurityError, Side, Target,
};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tempfile::tempdir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::node::{Node, PATIENCE, assert_rejected, claim, stranger};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_what_init_made_talk_to_each_other() {
    let dir = tempdir().unwrap();
    let holders = [
        Holder::Node(NodeId(1)),
        Holder::Node(NodeId(2)),
        Holder::Any,
    ];
    let made = pki::make(dir.path(), &holders).unwrap();
    assert!(made.authority_is_new);
    let load = |id| Security::load(dir.path(), Some(NodeId(id))).unwrap();
    let one = Node::start(claim(1), load(1)).await;
    // Its own directory, as it would lie on its machine.
    let security = Security::load(&dir.path().join("node-2"), None).unwrap();
    let two = Node::start(claim(2), security).await;
    // There is none for node 3: it takes the one that is good for any.
    let three = Node::start(claim(3), load(3)).await;
    for from in [&one, &two, &three] {
        for to in [&one, &two, &three] {
            assert_eq!(from.ask(to, "hello").await.unwrap(), "hello");
        }
    }
    let large = bytes::Bytes::from(vec![5; 3 << 20]);
    let target = two.target();
    let answer = one
        .peers
        .call(&target, peer::Service::Broker, large.clone(), PATIENCE);
    assert!(answer.await.unwrap() == large);

    let more = pki::make(dir.path(), &[Holder::Node(NodeId(4))]).unwrap();
    assert!(!more.authority_is_new);
    let four = Node::start(claim(4), load(4)).await;
    assert_eq!(four.ask(&one, "added later").await.unwrap(), "added later");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_must_be_that_of_the_claimed_id() {
    let authority = Authority::generate().unwrap();
    let one = Node::start(claim(1), tls(&authority, Holder::Node(NodeId(1)))).await;
    let two = Node::start(claim(2), tls(&authority, Holder::Node(NodeId(3)))).await;
    assert_rejected(
        two.ask(&one, "x").await,
        RejectionCode::Certificate,
        Side::Them,
    );
    assert_rejected(
        one.ask(&two, "x").await,
        RejectionCode::Certificate,
        Side::Us,
    );
    // Before it has an id, any certificate of the authority will do.
    let fresh = Node::start(stranger(), tls(&authority, Holder::Node(NodeId(7)))).await;
    assert_eq!(fresh.peers.who(&one.target(), PATIENCE).await, Ok(claim(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_authority_is_not_trusted_by_either_side() {
    let [ours, theirs] = [(); 2].map(|()| Authority::generate().unwrap());
    let one = Node::start(claim(1), tls(&ours, Holder::Any)).await;
    let two = Node::start(claim(2), tls(&theirs, Holder::Any)).await;
    assert_rejected(
        one.ask(&two, "x").await,
        RejectionCode::Certificate,
        Side::Us,
    );
    // It trusts us, and we do not trust it: what it dials, it learns from the one who answers.
    let both = [ours.certificate(), theirs.certificate()].concat();
    let trusting = security(&both, &theirs.issue(Holder::Any).unwrap());
    let three = Node::start(claim(3), trusting).await;
    assert_rejected(
        three.ask(&one, "x").await,
        RejectionCode::Certificate,
        Side::Them,
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shows_no_certificate_gets_no_word() {
    let authority = Authority::generate().unwrap();
    let one = Node::start(claim(1), tls(&authority, Holder::Any)).await;
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authority.certificate()) {
        roots.add(certificate).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"hark-peer".to_vec()];
    let stream = TcpStream::connect(&one.address).await.unwrap();
    let name = ServerName::try_from("peer.hark.internal").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap();
    let mut said = Vec::new();
    let end = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut said).await;
    assert!(said.is_empty());
    let end = end.unwrap_err().to_string();
    assert!(end.contains("CertificateRequired"), "{end}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_of_tls_that_does_not_go_on_is_cut_off() {
    let authority = Authority::generate().unwrap();
    let one = Node::start(claim(1), tls(&authority, Holder::Any)).await;
    let two = Node::start(claim(2), tls(&authority, Holder::Any)).await;
    let mut silent = TcpStream::connect(&one.address).await.unwrap();
    let mut half = TcpStream::connect(&one.address).await.unwrap();
    crate::raw::write(&mut half, b"\x16\x03\x01\x02\x00\x01").await;
    assert!(crate::raw::read_to_end(&mut silent).await.is_empty());
    assert!(crate::raw::read_to_end(&mut half).await.is_empty());
    assert_eq!(two.ask(&one, "hello").await.unwrap(), "hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_on_one_side_only_is_named() {
    let authority = Authority::generate().unwrap();
    let sealed = Node::start(claim(1), tls(&authority, Holder::Any)).await;
    let plain = Node::plain(2).await;
    assert_rejected(
        plain.ask(&sealed, "x").await,
        RejectionCode::Transport,
        Side::Us,
    );
    assert_rejected(
        sealed.ask(&plain, "x").await,
        RejectionCode::Transport,
        Side::Us,
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_alone_do_not_make_a_member_of_a_cluster_with_a_key() {
    let authority = Authority::generate().unwrap();
    let keyed = |byte| {
        let key = ClusterKey::from_bytes([byte; 32]);
        tls(&authority, Holder::Any).with_keys(ClusterKeys::one(key))
    };
    let one = Node::start(claim(1), keyed(1)).await;
    let same = Node::start(claim(2), keyed(1)).await;
    let other = Node::start(claim(3), keyed(2)).await;
    let none = Node::start(claim(4), tls(&authority, Holder::Any)).await;
    assert_eq!(same.ask(&one, "hello").await.unwrap(), "hello");
    for stranger in [&other, &none] {
        let outcome = stranger.ask(&one, "x").await;
        assert!(
            matches!(&outcome, Err(CallError::Refused(why)) if why.code == RejectionCode::Key),
            "{outcome:?}"
        );
    }
}

#[test]
fn what_init_writes_is_its_owners_alone_and_never_written_over() {
    let dir = tempdir().unwrap();
    let root = dir.path().join("cluster");
    let made = pki::make(&root, &[Holder::Node(NodeId(0)), Holder::Any]).unwrap();
    let paths: Vec<_> = made.nodes.iter().map(|(_, path)| path.clone()).collect();
    assert_eq!(paths, [root.join("node-0"), root.join("node-any")]);
    for (name, mode) in [
        ("ca.crt", 0o644),
        ("ca.key", 0o600),
        ("cluster.key", 0o600),
        ("node-0/ca.crt", 0o644),
        ("node-0/node.crt", 0o644),
        ("node-0/node.key", 0o600),
        ("node-0/cluster.key", 0o600),
        ("node-0", 0o700),
    ] {
        assert_eq!(mode_of(&root.join(name)), mode, "{name}");
    }
    let before = std::fs::read(root.join("ca.key")).unwrap();
    let again = pki::make(&root, &[Holder::Node(NodeId(5)), Holder::Any]);
    assert!(matches!(again, Err(SecurityError::Exists(path)) if path == root.join("node-any")));
    assert!(!root.join("node-5").exists());
    assert_eq!(std::fs::read(root.join("ca.key")).unwrap(), before);
}

#[test]
fn an_authority_whose_key_was_taken_away_is_not_replaced() {
    let dir = tempdir().unwrap();
    pki::make(dir.path(), &[Holder::Any]).unwrap();
    let [key, cluster] = ["ca.key", "cluster.key"].map(|name| dir.path().join(name));
    std::fs::remove_file(&key).unwrap();
    std::fs::remove_file(&cluster).unwrap();
    let error = pki::make(dir.path(), &[Holder::Node(NodeId(1))]).unwrap_err();
    assert!(
        error.to_string().contains("ca.key, is not beside it"),
        "{error}"
    );
    assert!(!cluster.exists() && !key.exists(), "nothing is written");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let spoil = |name: &str, spoil: &dyn Fn(&Path)| {
        let dir = tempdir().unwrap();
        pki::make(dir.path(), &[Holder::Any]).unwrap();
        let node = dir.path().join("node-any");
        spoil(&node.join(name));
        let error = Security::load(&node, Some(NodeId(1))).unwrap_err();
        error
            .to_string()
            .replace(&node.display().to_string(), "DIR")
    };
    let write = |text: &'static str| move |path: &Path| std::fs::write(path, text).unwrap();
    let cases: [(&str, String, &str); 7] = [
        (
            "a key that others can read",
            spoil("node.key", &|path| set_mode(path, 0o640)),
            "DIR/node.key can be read by others; make it its owner's alone: chmod 600 DIR/node.key",
        ),
        (
            "no key",
            spoil("node.key", &|path| std::fs::remove_file(path).unwrap()),
            "cannot read DIR/node.key: No such file or directory (os error 2)",
        ),
        (
            "no certificate",
            spoil("node.crt", &|path| std::fs::remove_file(path).unwrap()),
            "there is no node.crt in DIR, nor node-1/node.crt in it; `hark init` makes certificates",
        ),
        (
            "an empty certificate",
            spoil("node.crt", &write("")),
            "DIR/node.crt: there is no certificate in it",
        ),
        (
            "a key that is none",
            spoil("node.key", &write("secret")),
            "DIR/node.key: not a private key: no items found",
        ),
        (
            "a cluster key that is none",
            spoil("cluster.key", &write("# mine\nsecret")),
            "DIR/cluster.key: line 2: a key is 64 lower-case hexadecimal digits",
        ),
        (
            "a file without end",
            spoil("ca.crt", &|path| {
                std::fs::write(path, vec![b' '; 1 << 20]).unwrap();
            }),
            "DIR/ca.crt: far too long for a certificate or a key",
        ),
    ];
    for (what, found, expected) in cases {
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn a_key_that_does_not_fit_its_certificate_is_refused() {
    let authority = Authority::generate().unwrap();
    let [one, two] = [(); 2].map(|()| authority.issue(Holder::Any).unwrap());
    let mixed = Identity {
        certificate: one.certificate,
        key: two.key,
    };
    let result = Security::tls(
        certificates(authority.certificate()),
        certificates(&mixed.certificate),
        PrivateKeyDer::from_pem_slice(mixed.key.as_bytes()).unwrap(),
    );
    assert!(matches!(result, Err(SecurityError::Tls(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_may_be_whom_its_certificate_names() {
    let authority = Authority::generate().unwrap();
    let one = Node::start(claim(1), tls(&authority, Holder::Any)).await;
    let fresh = Node::start(stranger(), tls(&authority, Holder::Node(NodeId(7)))).await;
    for (words, expected) in [("maybe 7", "true"), ("maybe 8", "false")] {
        let target = Target::anybody(&one.address);
        let answer = fresh
            .peers
            .call(&target, peer::Service::Join, words.into(), PATIENCE);
        assert_eq!(answer.await.unwrap(), expected, "{words}");
    }
}

fn tls(authority: &Authority, holder: Holder) -> Security {
    security(authority.certificate(), &authority.issue(holder).unwrap())
}

fn security(authority: &str, identity: &Identity) -> Security {
    Security::tls(
        certificates(authority),
        certificates(&identity.certificate),
        PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap(),
    )
    .unwrap()
}

fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .unwrap()
}

fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
