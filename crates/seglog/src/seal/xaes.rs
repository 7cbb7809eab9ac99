//! XAES-256-GCM: AES-256-GCM with 192-bit nonces (c2sp.org/XAES-256-GCM).
//!
//! The first half of the nonce derives a key of its own (NIST SP 800-108r1 in counter mode with
//! CMAC), under which the second half is the ordinary 96-bit nonce.

use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::array::Array;
use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::BlockCipherEncrypt;
use aes_gcm::{Aes256Gcm, KeyInit};
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 32;
/// Bytes of a nonce.
pub(super) const NONCE_BYTES: usize = 24;
/// Bytes by which a sealed text is longer than the plain one.
pub(super) const TAG_BYTES: usize = 16;

const BLOCK_BYTES: usize = 16;
/// Bytes of the nonce that derive the key; the rest goes to AES-GCM.
const CONTEXT_BYTES: usize = 12;
type Block = [u8; BLOCK_BYTES];

/// One key, ready for use. Wiped when dropped.
pub(super) struct Xaes {
    /// Wipes itself.
    aes: Aes256,
    /// CMAC's K1.
    subkey: Block,
}

impl Xaes {
    pub(super) fn new(key: &[u8; KEY_BYTES]) -> Self {
        let aes = Aes256::new(key.into());
        let subkey = cmac_subkey(&encrypt(&aes, [0; BLOCK_BYTES]));
        Self { aes, subkey }
    }

    /// Encrypts `text` in place and gives the tag over it and `associated`.
    pub(super) fn seal(
        &self,
        nonce: &[u8; NONCE_BYTES],
        associated: &[u8],
        text: &mut [u8],
    ) -> Option<[u8; TAG_BYTES]> {
        let (cipher, rest) = self.cipher(nonce)?;
        let tag = cipher.encrypt_inout_detached(&Array::from(rest), associated, text.into());
        tag.ok().map(Into::into)
    }

    /// Decrypts `text` in place; `None`, with the text untouched, when anything was changed.
    pub(super) fn open(
        &self,
        nonce: &[u8; NONCE_BYTES],
        associated: &[u8],
        text: &mut [u8],
        tag: [u8; TAG_BYTES],
    ) -> Option<()> {
        let (cipher, rest) = self.cipher(nonce)?;
        let (rest, tag) = (Array::from(rest), Array::from(tag));
        cipher
            .decrypt_inout_detached(&rest, associated, text.into(), &tag)
            .ok()
    }

    /// A number that tells keys apart and says nothing else about them: it comes from the same
    /// derivation, with a counter that no nonce ever uses.
    pub(super) fn fingerprint(&self) -> u32 {
        let block = Zeroizing::new(self.derive(3, b"hark key id."));
        block
            .first_chunk()
            .map_or(0, |bytes| u32::from_be_bytes(*bytes))
    }

    fn cipher(&self, nonce: &[u8; NONCE_BYTES]) -> Option<(Aes256Gcm, [u8; 12])> {
        let (context, rest) = nonce.split_first_chunk::<CONTEXT_BYTES>()?;
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        let (first, second) = key.split_at_mut(BLOCK_BYTES);
        first.copy_from_slice(&self.derive(1, context));
        second.copy_from_slice(&self.derive(2, context));
        Some((Aes256Gcm::new((&*key).into()), rest.try_into().ok()?))
    }

    fn derive(&self, counter: u8, context: &[u8; CONTEXT_BYTES]) -> Block {
        let mut block = self.subkey;
        let label = [0, counter, b'X', 0];
        for (byte, message) in block.iter_mut().zip(label.iter().chain(context)) {
            *byte ^= message;
        }
        encrypt(&self.aes, block)
    }
}

impl Drop for Xaes {
    fn drop(&mut self) {
        self.subkey.zeroize();
    }
}

/// CMAC's K1: the block doubled in GF(2¹²⁸).
fn cmac_subkey(block: &Block) -> Block {
    let number = u128::from_be_bytes(*block);
    let carry = if number >> 127 == 1 { 0x87 } else { 0 };
    ((number << 1) ^ carry).to_be_bytes()
}

fn encrypt(aes: &Aes256, block: Block) -> Block {
    let mut block = Array::from(block);
    aes.encrypt_block(&mut block);
    block.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two vectors of the specification; the second one takes the carry of K1.
    #[test]
    fn vectors_of_the_specification() {
        let nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX";
        let cases: [(u8, &[u8], &str); 2] = [
            (
                1,
                b"",
                "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271",
            ),
            (
                3,
                b"c2sp.org/XAES-256-GCM",
                "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d",
            ),
        ];
        for (key, associated, expected) in cases {
            let key = Xaes::new(&[key; KEY_BYTES]);
            let mut text = *b"XAES-256-GCM";
            let tag = key.seal(nonce, associated, &mut text).unwrap();
            let hex: String = text
                .iter()
                .chain(&tag)
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(hex, expected);
            assert_eq!(key.open(nonce, associated, &mut text, tag), Some(()));
            assert_eq!(&text, b"XAES-256-GCM");
            assert_eq!(key.open(nonce, associated, &mut text, tag), None);
        }
    }

    #[test]
    fn fingerprints_differ() {
        let of = |key: u8| Xaes::new(&[key; KEY_BYTES]).fingerprint();
        assert_ne!(of(1), of(2));
        assert_eq!(of(1), of(1));
    }
}
