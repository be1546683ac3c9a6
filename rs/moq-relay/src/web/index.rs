//! `GET /`: what this is and where to look. Answers 200, so that it serves as a health check too.

use std::{fmt::Write as _, sync::Arc};

use axum::extract::State;

use super::Site;

pub(super) async fn get(State(site): State<Arc<Site>>) -> String {
    let mut text = format!("moq-relay {}\nA relay for live media: Media over QUIC.\n\n", env!("CARGO_PKG_VERSION"));
    let versions: Vec<_> = site.versions.iter().map(|version| version.name()).collect();
    let mut line = |name: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:<13} {value}");
    };
    line("protocols", &versions.join(", "));
    line("QUIC", &format!("WebTransport and raw QUIC on UDP port {}", site.udp.port()));
    if site.sessions.is_some() {
        line("WebSocket", "on this port, any path");
    }
    text.push_str(
        "\nGET /certificate.sha256    SHA-256 of the QUIC certificate, to pin it\n\
         GET /announced             what is on air\n\
         GET /announced/<prefix>    what is on air below a path\n\
         GET /fetch/<path>/<track>  the latest group of a track; ?group=7 another one\n",
    );
    text
}
