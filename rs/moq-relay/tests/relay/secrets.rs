//! Secrets: whatever the relay writes, at its noisiest, there is none in it.

#![allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]

use std::fs;

use moq_proto::Version;

use crate::{
    auth::{claims, config, key},
    peer::{Over, Peer, story},
    process::{Relay, command, file, folder},
    server::{Reply, Server},
};

#[test]
fn no_token_and_no_password_is_ever_logged() {
    let (key, path) = (key("k"), folder().join("k.jwk"));
    fs::write(&path, key.to_base64url().as_str()).unwrap();
    let keys = Server::http(|_| Reply::status(500));
    let decides = Server::http(|asked| {
        let is_known = asked.body.contains("canary-known");
        if is_known { Reply::ok(r#"{"publish":["**"],"subscribe":["**"]}"#) } else { Reply::status(403) }
    });
    let with_password = |server: &Server| server.url.replace("http://", "http://user:canary-password@") + "/?key=canary-query";
    let config = config(&format!(
        "key = {path:?}\njwks = \"{}\"\nurl = \"{}\"\npublic.publish = \"\"",
        with_password(&keys),
        with_password(&decides)
    ));
    let mut relay = Relay::spawn(command().arg(file(&config)).args(["--drain-timeout", "0s"]).env("RUST_LOG", "trace"));
    let good = key.sign(&claims("demo")).unwrap();
    let (_, signature) = good.rsplit_once('.').unwrap();
    story(async {
        for over in Over::ALL {
            for token in [good.as_str(), "canary-known", "canary-guess"] {
                if let Ok(peer) = Peer::try_join(&relay, over, &[Version::Lite05], &format!("/demo?jwt={token}")).await {
                    let _ = tokio::time::timeout(crate::peer::A_WHILE, peer.ended()).await;
                }
            }
        }
    });
    for token in [good.as_str(), "canary-known", "canary-guess"] {
        let _ = relay.get(&format!("/announced/demo?jwt={token}"));
        let _ = relay.ask("GET", "/announced/demo", &[("authorization", &format!("Bearer {token}"))]);
        let _ = relay.get(&format!("/announced/de%00mo?jwt={token}"));
        let _ = relay.get(&format!("/fetch/demo/room/video?jwt={token}"));
        let _ = relay.get(&format!("/nowhere?jwt={token}"));
    }
    relay.signal("TERM");
    relay.wait();

    let log = relay.log();
    assert!(log.contains("TRACE"), "the log is at its noisiest");
    // base64 of user:canary-password; the secret of the key itself.
    let secret = key.to_json();
    let private = secret.split("\"d\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    for secret in ["canary", "dXNlcjpjYW5hcnktcGFzc3dvcmQ", signature, private] {
        let leaks: Vec<_> = log.lines().filter(|line| line.contains(secret)).take(5).collect();
        assert!(leaks.is_empty(), "{secret} is in the log:\n{}", leaks.join("\n"));
    }
    assert!(
        decides.asked().iter().any(|asked| asked
            .headers
            .get("authorization")
            .is_some_and(|value| { value == "Basic dXNlcjpjYW5hcnktcGFzc3dvcmQ=" }))
    );
}
