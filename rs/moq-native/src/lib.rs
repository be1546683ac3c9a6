//! Sockets, TLS and the transports behind [`moq_lite::transport`].

pub mod backend;
pub mod tls;
