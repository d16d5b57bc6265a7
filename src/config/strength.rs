//! How good secrets and keys must be, wherever the settings name them.

use sha2::{Digest, Sha256};

use super::error::Error;
use super::{Secret, Secrets};

/// What an error says to do about a secret that is no good.
const MAKE: &str = "make one with `openssl rand -base64 48`";
/// Secrets that may be in force at once. Each costs a signature for every ticket that none of them has signed.
const SECRETS_MAX: usize = 16;
const DIFFERENT_CHARACTERS_MIN: usize = 8;
/// What the placeholders of our own examples, and of many others, begin with, in letters and digits alone.
const PLACEHOLDERS: [&str; 6] = ["replace", "changeme", "changethis", "placeholder", "yoursecret", "yourpassword"];
/// SHA-256 of secrets that stood in this project's repository, where anybody can read them.
const PUBLISHED: [&str; 3] = [
    "c2a09c821919db09aa93d2a5f7c78488e5a5e63522e36f21d98917cb413230a4",
    "da8de33c768c4f60232c05e4f0ba4b58ad2a96f61f318c64e54278230282710b",
    "a8bfbf1dc17f5c8261369c046c5b3c2287d0ba38ef55cae4922e5db78454fd4b",
];
/// RFC 7518, 3.3, and what NIST SP 800-131A asks for.
const RSA_BITS_MIN: usize = 2048;
/// RSA with an exponent of 1 signs nothing: every message is its own signature.
const RSA_EXPONENT_MIN: u64 = 3;

/// [`check`] of secrets that are sent in a header, which cannot hold every text.
pub(super) fn check_sent(key: &str, secrets: &Secrets, bytes_min: usize) -> Result<(), Error> {
    let can_be_sent = |secret: &Secret| {
        let text = secret.expose();
        text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.trim() == text
    };
    if secrets.iter().all(can_be_sent) {
        return check(key, secrets, bytes_min);
    }
    let rule = "must be printable ASCII without a space at either end: a header carries it";
    Err(Error(format!("{key} {rule}: {MAKE}")))
}

/// Each of a list of secrets, named by its place in the list.
pub(super) fn check(key: &str, secrets: &Secrets, bytes_min: usize) -> Result<(), Error> {
    let count = secrets.iter().count();
    if count > SECRETS_MAX {
        return Err(Error(format!("{key} must be at most {SECRETS_MAX} secrets")));
    }
    for (index, secret) in secrets.iter().enumerate() {
        let place = if count == 1 { key.to_owned() } else { format!("{key}, number {} of {count},", index + 1) };
        if !secret.is_set() {
            return Err(Error(format!("{place} is empty")));
        }
        let fault = match weakness(secret.expose()) {
            Some(weakness) if is_placeholder(secret.expose()) => Some(weakness),
            _ if secret.expose().len() < bytes_min => Some(format!("must be at least {bytes_min} bytes")),
            weakness => weakness,
        };
        if let Some(fault) = fault {
            return Err(Error(format!("{place} {fault}: {MAKE}")));
        }
        if let Some(earlier) = secrets.iter().take(index).position(|earlier| earlier == secret) {
            return Err(Error(format!("{place} is the same as number {}", earlier + 1)));
        }
    }
    Ok(())
}

/// The passwords of a list of addresses: none of them may be that of an example.
pub(super) fn check_addresses(key: &str, addresses: &Secret) -> Result<(), Error> {
    match addresses.addresses().iter().filter_map(Secret::password).any(is_placeholder) {
        true => Err(Error(format!("{key} has a placeholder from an example as its password"))),
        false => Ok(()),
    }
}

/// Why a secret is no secret: a clause that goes after the name of its setting.
#[must_use]
pub fn weakness(secret: &str) -> Option<String> {
    if is_placeholder(secret) {
        return Some("is a placeholder from an example".to_owned());
    }
    let hash: String = Sha256::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect();
    if PUBLISHED.contains(&hash.as_str()) {
        return Some("is one that this project's repository has shown to everybody".to_owned());
    }
    let mut different: Vec<char> = secret.chars().collect();
    different.sort_unstable();
    different.dedup();
    (different.len() < DIFFERENT_CHARACTERS_MIN)
        .then(|| format!("has fewer than {DIFFERENT_CHARACTERS_MIN} different characters"))
}

/// Whether a secret was left as an example has it.
#[must_use]
pub fn is_placeholder(secret: &str) -> bool {
    let plain: String = secret.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    plain == "password"
        || PLACEHOLDERS.iter().any(|placeholder| plain.starts_with(placeholder))
        || secret.contains('…')
        || (secret.starts_with('<') && secret.ends_with('>'))
}

/// Why an RSA public key is not taken: a clause that goes after the name of its file. Modulus and exponent as big-endian
/// numbers; `bits_max` is what the caller's arithmetic can do.
#[must_use]
pub fn rsa_fault(modulus: &[u8], exponent: &[u8], bits_max: usize) -> Option<String> {
    let (modulus, exponent) = (without_zeros(modulus), without_zeros(exponent));
    let bits = modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
    if bits < RSA_BITS_MIN {
        return Some(format!("holds an RSA key of {bits} bits, at least {RSA_BITS_MIN} are needed"));
    }
    if bits > bits_max {
        return Some(format!("holds an RSA key of {bits} bits, at most {bits_max} are supported"));
    }
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    let value = exponent.iter().try_fold(0_u64, |value, byte| value.checked_mul(256)?.checked_add((*byte).into()));
    // 33 bits are what verifiers take.
    let is_sound = value.is_some_and(|value| (RSA_EXPONENT_MIN..1 << 33).contains(&value));
    (!is_sound || !is_odd(exponent) || !is_odd(modulus)).then(|| "holds numbers that are not an RSA key".to_owned())
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_and_monotony_are_no_secrets() {
        for placeholder in [
            "REPLACE-WITH-64-HEX-DIGITS",
            "replace_me",
            "Change-Me",
            "changeme123",
            "PASSWORD",
            "<your secret>",
            "whsec_…",
        ] {
            assert_eq!(weakness(placeholder).as_deref(), Some("is a placeholder from an example"), "{placeholder}");
        }
        for monotony in
            ["", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "abcabcabcabcabcabcabcabcabcabcabc", "1234567123456712345"]
        {
            assert!(weakness(monotony).is_some_and(|clause| clause.contains("different")), "{monotony}");
        }
        for good in ["0123456789abcdef0123456789abcdef", "correct horse battery", "12345678", "口令是一二三四五六"]
        {
            assert_eq!(weakness(good), None, "{good}");
        }
    }

    #[test]
    fn rsa_keys_are_measured_without_leading_zeros() {
        let number = |bits: usize| {
            let mut bytes = vec![0_u8; bits.div_ceil(8)];
            bytes[0] = 1 << ((bits - 1) % 8);
            *bytes.last_mut().unwrap() |= 1;
            bytes
        };
        let padded = [vec![0; 200], number(1024)].concat();
        let even = [&number(2048)[..255], &[2]].concat();
        for (modulus, exponent, said) in [
            (number(2048), vec![1, 0, 1], None),
            (number(4096), vec![0, 3], None),
            (number(2047), vec![1, 0, 1], Some("2047 bits")),
            (number(1024), vec![1, 0, 1], Some("1024 bits")),
            (padded, vec![1, 0, 1], Some("1024 bits")),
            (vec![], vec![1, 0, 1], Some("0 bits")),
            (number(4097), vec![1, 0, 1], Some("4097 bits")),
            (number(2048), vec![1], Some("not an RSA key")),
            (number(2048), vec![], Some("not an RSA key")),
            (number(2048), vec![1, 0], Some("not an RSA key")),
            (number(2048), vec![1; 20], Some("not an RSA key")),
            (even, vec![3], Some("not an RSA key")),
        ] {
            let fault = rsa_fault(&modulus, &exponent, 4096);
            assert_eq!(fault.is_some(), said.is_some(), "{fault:?}");
            assert!(fault.as_deref().unwrap_or_default().contains(said.unwrap_or_default()), "{fault:?}");
        }
    }
}
