//! Which subprotocol a WebSocket speaks: a framing and, behind a dot, what the session speaks over it.
//!
//! A framing alone, or no subprotocol at all, leaves the session's version to a SETUP exchange.
//!
//! Spec: qmux over WebSocket, "Negotiation"; RFC 6455, section 1.9.

use moq_proto::Version;

/// Framings that carry a session's token behind a dot, in the server's order of preference.
const WITH_TOKEN: [&str; 2] = ["qmux-01", "qmux-00"];

/// Framings that say nothing of the session, in the server's order of preference.
const BARE: [&str; 4] = ["qmux-02", "qmux-01", "qmux-00", "webtransport"];

/// Nothing that the client offers is spoken here. Answer the upgrade with status 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no subprotocol in common: the client offers {}", .0.join(", "))]
pub struct NoCommonProtocol(pub Vec<String>);

/// Chooses among the subprotocols that a client offers, by the order of `protocols`, the tokens a server speaks.
///
/// `None`: the client offered nothing and gets the framing called `webtransport`; the answer names no subprotocol.
///
/// # Errors
/// When nothing is in common.
pub fn negotiate(offered: &[&str], protocols: &[impl AsRef<str>]) -> Result<Option<String>, NoCommonProtocol> {
    let speaks_legacy = protocols.iter().any(|token| token.as_ref() == Version::Lite02.alpn());
    if offered.is_empty() && speaks_legacy {
        return Ok(None);
    }
    let bare = BARE.iter().filter(|_| speaks_legacy).map(|framing| (*framing).to_owned());
    let chosen = with_token(protocols).chain(bare).find(|subprotocol| offered.contains(&subprotocol.as_str()));
    match chosen {
        Some(chosen) => Ok(Some(chosen)),
        None => Err(NoCommonProtocol(offered.iter().map(|name| (*name).to_owned()).collect())),
    }
}

/// What a client offers, in order, that speaks `protocols`.
pub fn offer(protocols: &[impl AsRef<str>]) -> Vec<String> {
    let speaks_legacy = protocols.iter().any(|token| token.as_ref() == Version::Lite02.alpn());
    let bare = BARE.iter().filter(|_| speaks_legacy).map(|framing| (*framing).to_owned());
    with_token(protocols).chain(bare).collect()
}

fn with_token(protocols: &[impl AsRef<str>]) -> impl Iterator<Item = String> {
    protocols.iter().flat_map(|token| WITH_TOKEN.iter().map(move |framing| format!("{framing}.{}", token.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_order_decides() {
        let nothing = |offered: &[&str]| Err(NoCommonProtocol(offered.iter().map(|name| (*name).to_owned()).collect()));
        for (offered, expected) in [
            (&[][..], Ok(None)),
            (&["qmux-00.moq-lite-05", "qmux-01.moq-lite-05"], Ok(Some("qmux-01.moq-lite-05"))),
            (&["qmux-01.moq-lite-04", "qmux-00.moq-lite-06"], Ok(Some("qmux-00.moq-lite-06"))),
            (&["qmux-02.moq-lite-06", "qmux-01.moq-lite-06", "qmux-02"], Ok(Some("qmux-01.moq-lite-06"))),
            (&["webtransport", "qmux-00", "qmux-01.moql"], Ok(Some("qmux-01.moql"))),
            (&["qmux-01", "qmux-00", "webtransport"], Ok(Some("qmux-01"))),
            (&["webtransport", "qmux-00"], Ok(Some("qmux-00"))),
            (&["qmux-02"], Ok(Some("qmux-02"))),
            (&["webtransport"], Ok(Some("webtransport"))),
            (&["qmux-02.moq-lite-05"], nothing(&["qmux-02.moq-lite-05"])),
            (&["moq-lite-05"], nothing(&["moq-lite-05"])),
            (&["moql"], nothing(&["moql"])),
            (&["webtransport.moq-lite-05"], nothing(&["webtransport.moq-lite-05"])),
            (&["qmux-01.moq-lite-05-wip"], nothing(&["qmux-01.moq-lite-05-wip"])),
        ] {
            let chosen = negotiate(offered, Version::ALPNS);
            assert_eq!(chosen, expected.map(|chosen: Option<&str>| chosen.map(str::to_owned)), "{offered:?}");
        }
    }

    #[test]
    fn without_the_legacy_versions_a_framing_alone_says_too_little() {
        let protocols = ["moq-lite-06"];
        assert!(negotiate(&[], &protocols).is_err());
        assert!(negotiate(&["qmux-01", "webtransport"], &protocols).is_err());
        assert_eq!(offer(&protocols), ["qmux-01.moq-lite-06", "qmux-00.moq-lite-06"]);
    }

    #[test]
    fn a_server_accepts_the_first_of_what_its_own_client_offers() {
        let offered = offer(Version::ALPNS);
        let offered: Vec<&str> = offered.iter().map(String::as_str).collect();
        assert_eq!(negotiate(&offered, Version::ALPNS), Ok(Some("qmux-01.moq-lite-06".to_owned())));
    }
}
