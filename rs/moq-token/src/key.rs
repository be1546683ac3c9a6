//! `Key`: what signs and verifies tokens.
//!
//! Read from either spelling of a key file, checked before it is one, printed without what is secret. Which keys are trusted
//! together is `set`'s, what makes a token good is `verifier`'s. Spec: RFC 7517.

use std::fmt;

use base64::Engine;
use jsonwebtoken::{DecodingKey, crypto};
use zeroize::Zeroizing;

use crate::{
    Algorithm, Claims, KeyError, KeyId, Scope, SignError, base64url, json,
    jwk::Jwk,
    material::Material,
    token::{self, Header},
};

/// Longest key file, in bytes. An RSA key of 8192 bits has 7 KiB.
pub const KEY_BYTES_MAX: usize = 64 * 1024;

/// A key, private, public or a shared secret.
#[derive(Clone)]
pub struct Key {
    algorithm: Algorithm,
    id: Option<KeyId>,
    operations: Operations,
    scope: Option<Scope>,
    material: Material,
    verifying: DecodingKey,
}

/// What a key may be used for, as its `key_ops` say. What it can be used for depends on its parts too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operations {
    pub(crate) sign: bool,
    pub(crate) verify: bool,
}

impl Key {
    pub(crate) fn new(
        algorithm: Algorithm,
        material: Material,
        id: Option<KeyId>,
        operations: Operations,
        scope: Option<Scope>,
    ) -> Result<Self, KeyError> {
        debug_assert_eq!(material.family(), algorithm.family());
        material.check()?;
        let verifying = material.verifying();
        Ok(Self { algorithm, id, operations, scope, material, verifying })
    }

    /// Makes a new key, with a private part or a shared secret.
    ///
    /// # Errors
    /// [`KeyError::Random`] when the system gives no randomness.
    pub fn generate(algorithm: Algorithm, id: Option<KeyId>, scope: Option<Scope>) -> Result<Self, KeyError> {
        let operations = Operations { sign: true, verify: true };
        Self::new(algorithm, Material::generate(algorithm)?, id, operations, scope)
    }

    /// Reads a key file in either spelling: JSON, or JSON wrapped whole in base64url. Space around it is passed over.
    ///
    /// # Errors
    /// What is too long, no key, a weak or an impossible one, or a key for something else.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let size = text.len();
        if size > KEY_BYTES_MAX {
            return Err(KeyError::TooLarge { size, max: KEY_BYTES_MAX });
        }
        let json = unwrap(text)?;
        json::read::<Jwk>(&json).map_err(|error| KeyError::Json(error.to_string()))?.try_into()
    }

    /// The key file as JSON, with the private part if there is one.
    pub fn to_json(&self) -> Zeroizing<String> {
        // Every member is text, or a list or an object of text; those can always be written.
        Zeroizing::new(serde_json::to_string(&Jwk::from(self)).unwrap_or_default())
    }

    /// The key file as base64url, which the tools of every age read; with the private part if there is one.
    pub fn to_base64url(&self) -> Zeroizing<String> {
        Zeroizing::new(base64url::ENGINE.encode(self.to_json().as_bytes()))
    }

    /// The part that may be shown to everybody, and only verifies. `None`: a shared secret has none.
    pub fn public(&self) -> Option<Self> {
        let material = self.material.public()?;
        let operations = Operations { sign: false, verify: true };
        let verifying = material.verifying();
        Some(Self { operations, material, verifying, ..self.clone() })
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub fn id(&self) -> Option<&KeyId> {
        self.id.as_ref()
    }

    /// The same key under this name.
    #[must_use]
    pub fn with_id(self, id: KeyId) -> Self {
        Self { id: Some(id), ..self }
    }

    /// The most its tokens may allow. `None`: anything.
    pub fn scope(&self) -> Option<&Scope> {
        self.scope.as_ref()
    }

    /// Whether whoever has it can sign, allowed or not.
    pub fn is_private(&self) -> bool {
        self.material.is_private()
    }

    /// Whether one secret both signs and verifies.
    pub fn is_shared_secret(&self) -> bool {
        matches!(self.material, Material::Oct(_))
    }

    pub fn can_sign(&self) -> bool {
        self.operations.sign && self.is_private()
    }

    pub fn can_verify(&self) -> bool {
        self.operations.verify
    }

    /// Whether `other` stands for the same signatures: the same algorithm over the same public part or secret.
    pub fn verifies_as(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.material.verifies_as(&other.material)
    }

    pub(crate) fn operations(&self) -> Operations {
        self.operations
    }

    pub(crate) fn material(&self) -> &Material {
        &self.material
    }

    /// Signs a token that says `claims`.
    ///
    /// Times are taken as they are; whether they make sense today is for the caller to ask.
    ///
    /// # Errors
    /// When the key may not or cannot sign, and when the token would be refused for what it allows or for its length.
    pub fn sign(&self, claims: &Claims) -> Result<String, SignError> {
        if !self.is_private() {
            return Err(SignError::Public);
        }
        if !self.operations.sign {
            return Err(SignError::Operation);
        }
        if claims.is_useless() {
            return Err(SignError::Useless);
        }
        if let Some(excess) = self.scope.as_ref().and_then(|scope| scope.exceeded_by(claims)) {
            return Err(SignError::Scope(excess));
        }
        let message = token::message(&Header { algorithm: self.algorithm, key: self.id.clone() }, claims);
        let signature = self.signature(message.as_bytes()).ok_or(SignError::Signature)?;
        let token = format!("{message}.{signature}");
        match token.len() {
            size if size > token::TOKEN_BYTES_MAX => Err(SignError::TooLong { size, max: token::TOKEN_BYTES_MAX }),
            _ => Ok(token),
        }
    }

    /// The signature of `message`, as base64url. `None`: it could not be made.
    pub(crate) fn signature(&self, message: &[u8]) -> Option<String> {
        crypto::sign(message, &self.material.signing()?, self.algorithm.into()).ok()
    }

    /// Whether `signature`, as base64url, is this key's under `message`. Secrets are compared in constant time.
    pub(crate) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        crypto::verify(signature, message, &self.verifying, self.algorithm.into()).unwrap_or(false)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("algorithm", &self.algorithm).field("id", &self.id).finish_non_exhaustive()
    }
}

/// The JSON of a key file in either spelling.
pub(crate) fn unwrap(text: &str) -> Result<Zeroizing<String>, KeyError> {
    let text = text.trim();
    if text.starts_with('{') {
        return Ok(Zeroizing::new(text.to_owned()));
    }
    if text.starts_with("-----BEGIN") {
        return Err(KeyError::Pem);
    }
    let bytes = base64url::ENGINE.decode(text).map(Zeroizing::new).map_err(|_| KeyError::NotBase64)?;
    let json = std::str::from_utf8(&bytes).map_err(|_| KeyError::NotBase64)?;
    Ok(Zeroizing::new(json.to_owned()))
}

#[cfg(test)]
mod tests;
