//! Keys, claims and permissions: who may publish and subscribe where.

pub mod grant;
pub mod permission;

pub use grant::Grant;
