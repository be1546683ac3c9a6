//! Sessions of Media over QUIC around one shared model of broadcasts.

pub mod model;
pub mod transport;
