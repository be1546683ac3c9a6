//! What can be wrong with a key, with claims and with a token, and what each is called.

use moq_proto::PathError;

use crate::{Algorithm, KeyId, Utc, token};

/// Why a key cannot be read or made. Private members are never quoted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    #[error("{size} bytes are too many for a key, {max} at most")]
    TooLarge { size: usize, max: usize },
    #[error("the key is PEM, and a JSON Web Key is needed")]
    Pem,
    #[error("neither JSON nor JSON as base64url")]
    NotBase64,
    #[error("not a JSON Web Key: {0}")]
    Json(String),
    #[error("member `{0}` is missing")]
    Missing(&'static str),
    #[error("member `{0}` has no place in a key of this kind")]
    Misplaced(&'static str),
    /// Keys like this exist, for other purposes than tokens.
    #[error("a key with {member} `{value}` is of no use here")]
    Unsupported { member: &'static str, value: String },
    #[error("algorithm {algorithm} does not go with {member} `{value}`")]
    Mismatch { algorithm: Algorithm, member: &'static str, value: String },
    #[error("key id: {0}")]
    Id(#[from] KeyIdError),
    #[error("a secret of {size} bytes is too short, {min} at least")]
    ShortSecret { size: usize, min: usize },
    #[error("an RSA modulus of {bits} bits, {min} to {max} are allowed")]
    Modulus { bits: usize, min: usize, max: usize },
    #[error("an RSA exponent below {min}, above {max}, or even")]
    Exponent { min: u64, max: u64 },
    #[error("its members do not make a valid key")]
    Inconsistent,
    #[error("its scope: {0}")]
    Scope(#[from] ClaimsError),
    #[error("the system gave no randomness")]
    Random,
}

/// Why text is no key id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyIdError {
    #[error("{size} characters, 1 to {max} are allowed")]
    Length { size: usize, max: usize },
    #[error("only letters, digits, `-` and `_` are allowed")]
    Character,
}

/// Why keys cannot be together in a set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    #[error("{size} bytes are too many for a key set, {max} at most")]
    TooLarge { size: usize, max: usize },
    #[error("not a JSON Web Key Set: {0}")]
    Json(String),
    #[error("key {index}: {error}")]
    Key { index: usize, error: KeyError },
    #[error("two different keys have the id `{0}`")]
    Duplicate(KeyId),
    #[error("more than {max} keys")]
    Full { max: usize },
    #[error("no key in it can be used")]
    Empty,
}

/// Why claims are none. What stood in them is quoted, so that it cannot play with a terminal or a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsError {
    #[error("{0}")]
    Json(String),
    #[error("path {path:?}: {error}")]
    Path { path: String, error: PathError },
    #[error("`{first}` and `{second}` say the same, and only one may")]
    Twice { first: &'static str, second: &'static str },
    /// Only prefixes can be granted.
    #[error("the pattern {0:?} has a wildcard before its end")]
    Pattern(String),
    #[error("`{claim}` is {seconds}, which is after the year 9999; milliseconds?")]
    FarFuture { claim: &'static str, seconds: u64 },
}

/// Why a token was not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    #[error("the key has no private part")]
    Public,
    #[error("the key's `key_ops` do not allow signing")]
    Operation,
    #[error("the token would allow neither publishing nor subscribing")]
    Useless,
    #[error("the token would allow more than the scope of its key: {0}")]
    Scope(String),
    #[error("a token of {size} bytes is longer than {max}, and would be refused")]
    TooLong { size: usize, max: usize },
    #[error("the signature could not be made")]
    Signature,
}

/// Why a token was turned away.
///
/// For logs, metrics and the operator's eyes; whoever showed the token learns only that it was refused. No text in here comes
/// from a token whose signature did not verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    #[error("{size} bytes are too many for a token, {max} at most", max = token::TOKEN_BYTES_MAX)]
    TooLong { size: usize },
    #[error("malformed: {0}")]
    Malformed(&'static str),
    #[error("its header does not name an algorithm of ours")]
    Algorithm,
    #[error("its header brings a key or says where to fetch one (`{0}`)")]
    EmbeddedKey(&'static str),
    #[error("its header demands an extension (`{0}`)")]
    Extension(&'static str),
    #[error("its header names no key, and there are several")]
    NoKeyId,
    #[error("signed by a key that is not known here")]
    UnknownKey,
    #[error("the key is for {key}, the header says {header}")]
    WrongAlgorithm { key: Algorithm, header: Algorithm },
    #[error("the signature does not verify")]
    Signature,
    #[error("its claims: {0}")]
    Claims(#[from] ClaimsError),
    #[error("expired at {0}")]
    Expired(Utc),
    #[error("not valid before {0}")]
    NotYet(Utc),
    #[error("issued in the future, at {0}")]
    IssuedLater(Utc),
    #[error("it never expires, and tokens must")]
    NoExpiry,
    #[error("it lives for {lifetime} s, {max} s at most")]
    LongLived { lifetime: u64, max: u64 },
    #[error("it is for another audience")]
    Audience,
    #[error("it is not by the issuer that tokens must be by")]
    Issuer,
    #[error("it allows neither publishing nor subscribing")]
    Useless,
    #[error("it allows more than the scope of its key: {0}")]
    Scope(String),
    #[error("revoked, by its {0}")]
    Revoked(&'static str),
}

impl Refused {
    /// Every code there is: the values of a metric's label.
    pub const CODES: [&'static str; 20] = [
        "too-long",
        "malformed",
        "algorithm",
        "embedded-key",
        "extension",
        "no-key-id",
        "unknown-key",
        "wrong-algorithm",
        "signature",
        "claims",
        "expired",
        "not-yet",
        "issued-later",
        "no-expiry",
        "long-lived",
        "audience",
        "issuer",
        "useless",
        "scope",
        "revoked",
    ];

    /// Whether its signature is by a trusted key, and what it says is what was wrong. All others may be anybody's.
    pub fn is_signed(&self) -> bool {
        match self {
            Self::Claims(_)
            | Self::Expired(_)
            | Self::NotYet(_)
            | Self::IssuedLater(_)
            | Self::NoExpiry
            | Self::LongLived { .. }
            | Self::Audience
            | Self::Issuer
            | Self::Useless
            | Self::Scope(_)
            | Self::Revoked(_) => true,
            Self::TooLong { .. }
            | Self::Malformed(_)
            | Self::Algorithm
            | Self::EmbeddedKey(_)
            | Self::Extension(_)
            | Self::NoKeyId
            | Self::UnknownKey
            | Self::WrongAlgorithm { .. }
            | Self::Signature => false,
        }
    }

    /// The reason as one word, one of [`Refused::CODES`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too-long",
            Self::Malformed(_) => "malformed",
            Self::Algorithm => "algorithm",
            Self::EmbeddedKey(_) => "embedded-key",
            Self::Extension(_) => "extension",
            Self::NoKeyId => "no-key-id",
            Self::UnknownKey => "unknown-key",
            Self::WrongAlgorithm { .. } => "wrong-algorithm",
            Self::Signature => "signature",
            Self::Claims(_) => "claims",
            Self::Expired(_) => "expired",
            Self::NotYet(_) => "not-yet",
            Self::IssuedLater(_) => "issued-later",
            Self::NoExpiry => "no-expiry",
            Self::LongLived { .. } => "long-lived",
            Self::Audience => "audience",
            Self::Issuer => "issuer",
            Self::Useless => "useless",
            Self::Scope(_) => "scope",
            Self::Revoked(_) => "revoked",
        }
    }
}
