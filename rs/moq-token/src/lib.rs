//! Keys, claims and permissions: who may publish and subscribe where.
//!
//! A [`Key`] signs [`Claims`] into a token; a [`Verifier`] tells good tokens from all others; a [`Grant`] is what a good one
//! allows, at the path a session asks for. Pure but for [`mod@file`], and without a clock: the time of day is handed in.
//! Signatures, keys and randomness are aws-lc's, through `jsonwebtoken`.

pub mod address;
mod algorithm;
mod base64url;
mod claims;
mod error;
pub mod file;
mod generate;
pub mod grant;
mod json;
mod jwk;
mod key;
mod key_id;
mod material;
pub mod permission;
mod prefixes;
mod revoked;
mod scope;
mod secret;
mod set;
#[cfg(feature = "testing")]
pub mod testing;
mod thumbprint;
mod token;
mod utc;
mod verifier;

pub use algorithm::{Algorithm, Family, UnknownAlgorithm};
pub use claims::Claims;
pub use error::{ClaimsError, KeyError, KeyIdError, Refused, SetError, SignError};
pub use grant::Grant;
pub use jwk::KEY_BYTES_MAX;
pub use key::Key;
pub use key_id::KeyId;
pub use revoked::{REVOKED_BYTES_MAX, Revoked, RevokedError};
pub use scope::Scope;
pub use set::{KEYS_MAX, KeySet, SET_BYTES_MAX};
pub use token::{Header, TOKEN_BYTES_MAX, Unverified};
pub use utc::Utc;
pub use verifier::{Policy, Verified, Verifier};
