//! The one base64 that keys and tokens use.
//!
//! Written without padding; read with or without. Bits that decode to nothing are refused, so no two texts mean the same
//! bytes but for padding. Spec: RFC 7515, section 2.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// For key files.
pub(crate) const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// For tokens, whose parts carry no padding.
pub(crate) const STRICT: GeneralPurpose = base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The public part of a key, as it stands in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&ENGINE.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        ENGINE.decode(text).map(Self).map_err(|error| de::Error::custom(format_args!("not base64url: {error}")))
    }
}
