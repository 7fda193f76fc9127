//! What is kept of a password (Argon2id, RFC 9106), and the random tokens that open sessions and links.

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash, try_generate_salt},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// Characters of a password at least.
pub(super) const SHORTEST: usize = 10;
/// Characters of a password at most: hashing is paid for by whoever is asked.
pub(super) const LONGEST: usize = 200;

/// The system gives no random numbers, or the password cannot be hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandomness;

/// The form in which a password is stored.
///
/// # Errors
/// The system gives no random numbers.
pub fn hash_password(password: &str) -> Result<String, NoRandomness> {
    let hash: PasswordHash = Argon2::default().hash_password(password.as_bytes()).map_err(|_| NoRandomness)?;
    Ok(hash.to_string())
}

/// Whether a password is the one that is stored. Where none is, it takes as long.
pub(super) fn verify(password: &str, stored: Option<&str>) -> bool {
    /// Of no password that anybody has; made with the parameters of [`hash_password`].
    const NOBODY: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5LWtub3dzLWl0$qD0wLJSYUV1Gx4bg2cGpXGqGxyhLf3H8VhOGqLGxJ9A";
    let Ok(hash) = PasswordHash::new(stored.unwrap_or(NOBODY)) else { return false };
    let right = Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
    right && stored.is_some()
}

/// What is wrong with a new password: the key of its words.
pub(super) fn weakness(password: &str, name: &str) -> Option<&'static str> {
    let length = password.chars().count();
    let lower = password.to_lowercase();
    let mut seen: Vec<char> = lower.chars().collect();
    seen.sort_unstable();
    seen.dedup();
    if length < SHORTEST {
        Some("password.short")
    } else if length > LONGEST {
        Some("password.long")
    } else if seen.len() < 5 || (!name.is_empty() && lower.contains(&name.to_lowercase())) || lower.contains("12345678")
    {
        Some("password.weak")
    } else {
        None
    }
}

/// A token that nobody can guess: 32 random bytes, fit for an address.
///
/// # Errors
/// The system gives no random numbers.
pub fn secret_token() -> Result<String, NoRandomness> {
    let mut bytes = [0; 32];
    for half in bytes.chunks_exact_mut(16) {
        half.copy_from_slice(&try_generate_salt().map_err(|_| NoRandomness)?);
    }
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_again_and_no_other() {
        let stored = hash_password("correct horse battery").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(verify("correct horse battery", Some(&stored)));
        assert!(!verify("correct horse", Some(&stored)));
        assert!(!verify("correct horse battery", None));
        assert!(!verify("correct horse battery", Some("no hash")));
        assert_ne!(stored, hash_password("correct horse battery").unwrap(), "salted");
    }

    #[test]
    fn what_nobody_knows_is_a_hash() {
        // Else an unknown name would be answered faster than a known one.
        let nobody = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5LWtub3dzLWl0$qD0wLJSYUV1Gx4bg2cGpXGqGxyhLf3H8VhOGqLGxJ9A";
        assert!(PasswordHash::new(nobody).is_ok());
    }

    #[test]
    fn weak_passwords_are_refused() {
        for (password, weakness) in [
            ("short", Some("password.short")),
            ("aaaaaaaaaaaa", Some("password.weak")),
            ("wangxiaoming2026", Some("password.weak")),
            ("12345678abc", Some("password.weak")),
            ("correct horse battery", None),
            ("热线办公室的口令要够长", None),
        ] {
            assert_eq!(super::weakness(password, "wangxiaoming"), weakness, "{password}");
        }
        assert_eq!(super::weakness(&"ab1c2".repeat(50), ""), Some("password.long"));
    }

    #[test]
    fn tokens_differ() {
        let (one, other) = (secret_token().unwrap(), secret_token().unwrap());
        assert!(one != other && one.len() == 43);
    }
}
