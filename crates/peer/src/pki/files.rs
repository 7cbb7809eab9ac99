//! Certificates and keys as files.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use model::limits;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::ClusterKeys;
use crate::security::SecurityError;

/// Makes a directory that is its owner's alone; one that is there is left as it is.
pub(super) fn make_dir(path: &Path) -> Result<(), SecurityError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(failed("make", path))
}

/// Writes a new file that everybody may read.
pub(super) fn write_public(path: &Path, text: &str) -> Result<(), SecurityError> {
    write(path, text, 0o644)
}

/// Writes a new file that is its owner's alone.
pub(super) fn write_secret(path: &Path, text: &str) -> Result<(), SecurityError> {
    write(path, text, 0o600)
}

/// The certificates in a file, at least one.
pub(crate) fn read_certificates(
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, SecurityError> {
    let text = read_text(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match certificates {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(content(path, "there is no certificate in it")),
        Err(error) => Err(content(path, &format!("not PEM: {error}"))),
    }
}

/// The private key in a file.
pub(crate) fn read_private_key(path: &Path) -> Result<PrivateKeyDer<'static>, SecurityError> {
    let text = read_secret(path)?;
    PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|error| content(path, &format!("not a private key: {error}")))
}

/// The keys of a cluster in a file.
pub(crate) fn read_cluster_keys(path: &Path) -> Result<ClusterKeys, SecurityError> {
    let text = read_secret(path)?;
    ClusterKeys::from_text(&text).map_err(|source| SecurityError::Key {
        path: path.to_owned(),
        source,
    })
}

/// A secret. Refused when others can read it.
pub(super) fn read_secret(path: &Path) -> Result<Zeroizing<String>, SecurityError> {
    let file = open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let metadata = file.metadata().map_err(failed("read", path))?;
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(SecurityError::OpenToOthers(path.to_owned()));
        }
    }
    read(file, path)
}

/// A text of reasonable length.
pub(super) fn read_text(path: &Path) -> Result<Zeroizing<String>, SecurityError> {
    read(open(path)?, path)
}

fn open(path: &Path) -> Result<File, SecurityError> {
    File::open(path).map_err(failed("read", path))
}

fn read(file: File, path: &Path) -> Result<Zeroizing<String>, SecurityError> {
    let mut text = Zeroizing::new(String::new());
    let bytes = file
        .take(limits::PEER_SECURITY_FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(failed("read", path))?;
    if bytes as u64 > limits::PEER_SECURITY_FILE_BYTES_MAX {
        return Err(content(path, "far too long for a certificate or a key"));
    }
    Ok(text)
}

#[cfg_attr(
    not(unix),
    expect(unused_variables, reason = "there are no such modes")
)]
fn write(path: &Path, text: &str, mode: u32) -> Result<(), SecurityError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    let mut file = options.open(path).map_err(failed("write", path))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed("write", path))
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> SecurityError {
    let path = path.to_owned();
    move |source| SecurityError::File {
        doing,
        path,
        source,
    }
}

fn content(path: &Path, reason: &str) -> SecurityError {
    SecurityError::Content {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}
