//! Sockets, TLS and the transports behind [`moq_lite::transport`].
//!
//! A [`Server`] turns whoever arrives into an [`Incoming`], which the program accepts or rejects. Either way round the result
//! is an [`AnyConnection`], and a session runs over that. Who may do what is not decided here.

pub mod backend;
mod client;
mod connection;
mod counters;
mod incoming;
mod listeners;
mod options;
pub mod reconnect;
mod server;
mod socket;
pub mod tls;

pub use tokio_tungstenite::tungstenite;

pub use self::{
    client::{Client, ClientError, ConnectError, PinError},
    connection::{AnyConnection, AnyRecvStream, AnySendStream},
    counters::Counters,
    incoming::{HandshakeError, Incoming, Transport, request_target},
    options::{ClientConfig, QuicConfig, ServerConfig},
    server::{BindError, Server, TlsError},
};
