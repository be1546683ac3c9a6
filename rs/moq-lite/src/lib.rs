//! Sessions of Media over QUIC around one shared model of broadcasts.

pub mod model;
pub mod session;
pub mod stats;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transport;
