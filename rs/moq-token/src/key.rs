//! `Key`: what signs and verifies tokens.
//!
//! Checked before it is one, printed without what is secret. How it stands in a file is `jwk`'s, which keys are trusted together
//! `set`'s, what makes a token good `verifier`'s.

use std::fmt;

use jsonwebtoken::{DecodingKey, crypto};

use crate::{
    Algorithm, Claims, KeyError, KeyId, Scope, SignError,
    material::Material,
    token::{self, Header},
};

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

#[cfg(test)]
mod tests;
