//! The HTTP side as its clients see it.

use crate::process::{Answer, OPEN, Relay};

#[test]
fn the_front_page_says_what_this_is() {
    let relay = Relay::start(OPEN);
    let page = relay.get("/");

    assert_eq!(page.status, 200);
    let port = format!("UDP port {}", relay.udp.port());
    for part in ["moq-relay", env!("CARGO_PKG_VERSION"), "moq-lite-05", &port, "/announced", "/certificate.sha256"] {
        assert!(page.body.contains(part), "{part} is not in\n{}", page.body);
    }
}

#[test]
fn the_certificate_is_64_hexadecimal_digits_and_nothing_else() {
    let answer = Relay::start(OPEN).get("/certificate.sha256");

    assert_eq!((answer.status, answer.body.len()), (200, 64));
    assert!(answer.body.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')), "{}", answer.body);
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
}

#[test]
fn nothing_is_on_air_at_first() {
    let relay = Relay::start(OPEN);

    for path in ["/announced", "/announced/", "/announced/demo", "/announced/demo/room/"] {
        let answer = relay.get(path);
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{path}");
    }
}

#[test]
fn what_is_on_air_is_told_to_those_who_may_watch_it() {
    let relay = Relay::start(&OPEN.replace("public = \"\"", "public = { subscribe = \"demo\", publish = \"in\" }"));

    let rows = [
        ("/announced", 200),
        ("/announced/demo", 200),
        ("/announced/demo/room", 200),
        ("/announced/in", 401),
        ("/announced/demos", 401),
        ("/announced/demo?jwt=abc", 401),
        ("/announced/a%2Fb", 400),
        ("/announced/../demo", 400),
    ];
    for (path, status) in rows {
        assert_eq!(relay.get(path).status, status, "{path}");
    }
}

#[test]
fn pages_of_any_origin_may_read() {
    let relay = Relay::start(OPEN);

    for path in ["/", "/certificate.sha256", "/announced", "/announced/", "/announced/demo"] {
        let answer = relay.ask("GET", path, &[("origin", "https://example.com")]);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}");
    }
    let preflight = [("origin", "https://example.com"), ("access-control-request-method", "GET")];
    let answer = relay.ask("OPTIONS", "/announced", &preflight);
    assert_eq!((answer.status, answer.header("access-control-allow-methods")), (200, Some("GET")));
    assert_eq!(answer.header("access-control-allow-headers"), Some("authorization"));
}

#[test]
fn heads_are_answered_and_other_methods_refused() {
    let relay = Relay::start(OPEN);

    for path in ["/", "/certificate.sha256", "/announced", "/announced/", "/announced/demo"] {
        let head = relay.ask("HEAD", path, &[]);
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        for method in ["POST", "PUT", "DELETE"] {
            let refused = relay.ask(method, path, &[]);
            assert_eq!((refused.status, refused.header("allow")), (405, Some("GET,HEAD")), "{method} {path}");
        }
    }
}

#[test]
fn other_paths_are_not_found() {
    let answer = Relay::start(OPEN).get("/demo/room");

    assert_eq!(answer.status, 404);
}

#[test]
fn no_web_listener_is_the_default() {
    let config = OPEN.replace("[web.http]\nlisten = \"127.0.0.1:0\"", "");

    assert_eq!(Relay::start(&config).web, None);
}

#[test]
fn one_port_number_serves_both_families_and_protocols() {
    let relay = Relay::start(&OPEN.replace("127.0.0.1:0", "[::]:0"));
    let port = relay.http().port();

    for address in ["127.0.0.1", "::1"] {
        std::net::TcpStream::connect((address, port)).unwrap();
    }
    let config = OPEN.replace("listen = \"127.0.0.1:0\"\ntls", &format!("listen = \"[::]:{port}\"\ntls"));
    assert_eq!(Relay::start(&config).udp.port(), port);
}

/// What a WebSocket client sends beside its offer.
const HANDSHAKE: [(&str, &str); 4] = [
    ("connection", "keep-alive, Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// The answer to a handshake on `path` that offers these subprotocols.
fn upgrade(relay: &Relay, path: &str, offer: Option<&str>) -> Answer {
    let offer = offer.map(|offer| ("sec-websocket-protocol", offer));
    relay.ask("GET", path, &HANDSHAKE.into_iter().chain(offer).collect::<Vec<_>>())
}

#[test]
fn a_websocket_is_opened_on_any_path() {
    let relay = Relay::start(OPEN);

    for path in ["/", "/demo/room", "/announced"] {
        let answer = upgrade(&relay, path, Some("qmux-01.moq-lite-05"));
        assert_eq!(answer.status, 101, "{path}");
        assert_eq!(answer.header("sec-websocket-protocol"), Some("qmux-01.moq-lite-05"));
        assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }
}

#[test]
fn the_relays_order_of_protocols_wins() {
    let relay = Relay::start(OPEN);
    let rows = [
        (Some("qmux-00.moq-lite-04, qmux-01.moq-lite-04, qmux-01.moq-lite-05"), Some("qmux-01.moq-lite-05")),
        (Some("webtransport, qmux-00.moq-lite-04"), Some("qmux-00.moq-lite-04")),
        (Some("webtransport, qmux-01"), Some("qmux-01")),
        (Some("webtransport"), Some("webtransport")),
        (None, None),
    ];
    for (offer, chosen) in rows {
        let answer = upgrade(&relay, "/", offer);
        assert_eq!((answer.status, answer.header("sec-websocket-protocol")), (101, chosen), "{offer:?}");
    }
}

#[test]
fn a_websocket_is_refused_before_it_opens() {
    let relay = Relay::start(&OPEN.replace("public = \"\"", "public = \"demo\""));

    // A subprotocol that nobody has, and those of unfinished drafts, whose wire is another.
    for unknown in ["chat", "moq-lite-05", "qmux-01.moq-lite-05-wip", "qmux-01.moq-lite-06-wip, qmux-00.moq-lite-07-wip"] {
        assert_eq!(upgrade(&relay, "/demo", Some(unknown)).status, 400, "{unknown}");
    }
    // Neither is a bare name, which some readers would take for the path `demo`, and others for an address.
    for target in ["/demo/../x", "demo"] {
        assert_eq!(upgrade(&relay, target, Some("qmux-01")).status, 400, "{target}");
    }
    assert_eq!(upgrade(&relay, "/news", Some("qmux-01")).status, 401);
    assert_eq!(upgrade(&relay, "/demo?jwt=abc", Some("qmux-01")).status, 401);
    let old = relay.ask("GET", "/demo", &[HANDSHAKE[0], HANDSHAKE[1], ("sec-websocket-version", "8"), HANDSHAKE[3]]);
    assert_eq!((old.status, old.header("sec-websocket-version")), (426, Some("13")));
    assert_eq!(relay.ask("GET", "/demo", &HANDSHAKE[..3]).status, 400);
    assert_eq!(relay.ask("POST", "/demo", &HANDSHAKE).status, 400);
}

#[test]
fn websockets_may_be_switched_off() {
    let relay = Relay::start(&OPEN.replace("[web.http]", "[web]\nws = false\n[web.http]"));

    assert_eq!(upgrade(&relay, "/", Some("qmux-01")).status, 200);
    assert_eq!(upgrade(&relay, "/demo", Some("qmux-01")).status, 404);
}
