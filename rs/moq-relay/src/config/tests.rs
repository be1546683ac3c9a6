use clap::Parser;
use moq_proto::Path;

use super::*;
use crate::options::{CommandLine, keys};

/// What a command line without a file settles to.
fn settled(args: &[&str]) -> Result<Config, ConfigError> {
    let line = CommandLine::try_parse_from(["moq-relay"].iter().chain(args)).unwrap_or_else(|error| panic!("{error}"));
    Config::try_from(line.options().unwrap())
}

/// The least that a relay can do with.
const LEAST: [&str; 4] = ["--tls-generate", "localhost", "--auth-public", ""];

fn with(args: &[&str]) -> Result<Config, ConfigError> {
    settled(&[&LEAST, args].concat())
}

#[test]
fn nothing_at_all_is_answered_with_every_way_out() {
    let error = settled(&[]).unwrap_err();

    assert_eq!(error.problems, [Problem::NoCertificate, Problem::NobodyMayEnter]);
    let said = error.to_string();
    for way in [
        "--tls-cert",
        "--tls-generate localhost",
        "[auth]",
        "--auth-key",
        "--auth-key-dir",
        "--auth-public",
        "moq-relay --listen '[::]:4443'",
    ] {
        assert!(said.contains(way), "{said}\ndoes not say {way}");
    }
}

#[test]
fn the_least_settles_to_the_documented_defaults() {
    let config = settled(&LEAST).unwrap();

    let mut documented = LEAST.map(str::to_owned).to_vec();
    for argument in keys::arguments() {
        let help = argument.get_help().unwrap().to_string();
        let Some((_, default)) = help.split_once("Default: `") else { continue };
        let Some(value) = default.trim_end_matches('.').strip_suffix('`') else { continue };
        if !value.contains('`') {
            documented.push(format!("--{}={value}", argument.get_long().unwrap()));
        }
    }
    assert!(documented.len() > 12, "{documented:?}");
    let documented: Vec<_> = documented.iter().map(String::as_str).collect();
    assert_eq!(settled(&documented), Ok(config));
}

#[test]
fn a_time_beyond_any_clock_is_a_very_long_one() {
    let keys = [
        "--server-setup-timeout",
        "--server-quic-idle-timeout",
        "--web-header-timeout",
        "--web-request-timeout",
        "--auth-fail-penalty",
        "--auth-leeway",
        "--cache-min-age",
        "--cache-max-age",
        "--cache-linger",
    ];
    let args: Vec<&str> = keys.into_iter().flat_map(|key| [key, "500000000000y"]).collect();
    let Config { server, web, auth, cache, .. } = with(&args).unwrap();
    let times = [
        server.setup_timeout,
        server.quic.idle_timeout,
        web.header_timeout,
        web.request_timeout,
        auth.penalty.duration,
        auth.policy.leeway,
        cache.min_age,
        cache.max_age,
        cache.linger,
    ];
    assert_eq!(times, [TIME_MAX; 9]);
    assert!(std::time::Instant::now().checked_add(TIME_MAX).is_some());
}

#[test]
fn what_contradicts_itself_is_refused() {
    let rows: &[(&[&str], Problem)] = &[
        (&["--server-setup-timeout", "0s"], Problem::NoTime("server.setup_timeout")),
        (&["--web-header-timeout", "0s"], Problem::NoTime("web.header_timeout")),
        (&["--web-max-connections", "0"], Problem::NoRoom("web.max_connections")),
        (&["--web-max-header", "100"], Problem::HeaderTooSmall(100)),
        (
            &["--auth-refresh", "10s"],
            Problem::RefreshCrossed { refresh: Duration::from_secs(10), refresh_min: Duration::from_secs(30) },
        ),
        (&["--auth-concurrency", "0"], Problem::NoRoom("auth.concurrency")),
        (&["--auth-fail-penalty", "0s"], Problem::NoTime("auth.fail_penalty")),
        (&["--auth-url", "http://auth.example.com/"], Problem::Endpoint { key: "auth.url", error: EndpointError::Insecure }),
        (&["--auth-jwks", "https://keys.example.com/#x"], Problem::Endpoint { key: "auth.jwks", error: EndpointError::Fragment }),
        (&["--cache-min-age", "1m"], Problem::AgesCrossed { min_age: Duration::from_secs(60), max_age: Duration::from_secs(30) }),
        (
            &["--server-quic-keep-alive", "10s", "--server-quic-idle-timeout", "5s"],
            Problem::KeepAliveTooLate { keep_alive: Duration::from_secs(10), idle_timeout: Duration::from_secs(5) },
        ),
    ];
    for (args, problem) in rows {
        assert_eq!(with(args).unwrap_err().problems, std::slice::from_ref(problem), "{args:?}");
    }
}

#[test]
fn every_certificate_needs_its_key() {
    let rows: &[(&[&str], Problem)] = &[
        (&["--tls-cert", "a.pem"], Problem::UnpairedCertificates { table: "server.tls", certs: 1, keys: 0 }),
        (
            &["--tls-cert", "a.pem,b.pem", "--tls-key", "a.key"],
            Problem::UnpairedCertificates { table: "server.tls", certs: 2, keys: 1 },
        ),
        (&["--tls-generate", ""], Problem::NamelessCertificate),
    ];
    for (args, problem) in rows {
        let error = settled(&[&["--auth-public", ""], *args].concat()).unwrap_err();
        assert_eq!(error.problems, std::slice::from_ref(problem), "{args:?}");
    }
}

#[test]
fn public_may_tell_the_roles_apart() {
    let path = |text: &str| text.parse::<Path>().unwrap();
    let rows: &[(&[&str], &[&str], &[&str])] = &[
        (&["--auth-public", ""], &[""], &[""]),
        (&["--auth-public", "demo,anon"], &["demo", "anon"], &["demo", "anon"]),
        (&["--auth-public", "/demo/**,caf%C3%A9"], &["demo", "café"], &["demo", "café"]),
        (&["--auth-public", "**"], &[""], &[""]),
        (&["--auth-public-subscribe", "live"], &[], &["live"]),
        (&["--auth-public", "demo", "--auth-public-publish", "in"], &["demo", "in"], &["demo"]),
    ];
    for (args, publish, subscribe) in rows {
        let auth = settled(&[&LEAST[..2], args].concat()).unwrap().auth;
        assert_eq!(auth.public_publish, publish.iter().map(|text| path(text)).collect::<Vec<_>>(), "{args:?}");
        assert_eq!(auth.public_subscribe, subscribe.iter().map(|text| path(text)).collect::<Vec<_>>(), "{args:?}");
    }
}

#[test]
fn keys_are_files_and_folders_and_may_stand_beside_what_is_public() {
    let line = ["--auth-key", "a.jwk,b.jwk", "--auth-keys", "c.json", "--auth-key-dir", "keys", "--auth-revoked", "revoked"];
    let auth = with(&line).unwrap().auth;

    assert_eq!(auth.keys.files, ["a.jwk", "b.jwk", "c.json"].map(PathBuf::from));
    assert_eq!(auth.keys.folders, [PathBuf::from("keys")]);
    assert_eq!((auth.keys.revoked, auth.public_subscribe), (Some("revoked".into()), vec![Path::root()]));
}

#[test]
fn somebody_must_be_able_to_come_in() {
    for ways in [&["--auth-key", "a.jwk"][..], &["--auth-key-dir", "keys"], &["--auth-public-subscribe", "demo"]] {
        assert!(settled(&[&LEAST[..2], ways].concat()).is_ok(), "{ways:?}");
    }
    let nobody = settled(&[&LEAST[..2], &["--auth-revoked", "revoked"]].concat());
    assert_eq!(nobody.unwrap_err().problems, [Problem::NobodyMayEnter]);
}

#[test]
fn keep_alive_of_zero_means_never() {
    assert_eq!(with(&["--server-quic-keep-alive", "0s"]).unwrap().server.quic.keep_alive, None);
}

#[test]
fn a_short_idle_timeout_takes_the_keep_alive_with_it() {
    let quic = with(&["--server-quic-idle-timeout", "3s"]).unwrap().server.quic;

    assert_eq!(quic.keep_alive, Some(Duration::from_secs(1)));
}

#[test]
fn the_development_file_opens_one_port_to_everybody() {
    let config = settled(&[concat!(env!("CARGO_MANIFEST_DIR"), "/../../dev/relay.toml")]).unwrap();

    assert_eq!(config.log.level, Level::Debug);
    assert_eq!(config.web.http, Some(config.server.bind));
    assert_eq!(config.server.tls.generate, ["localhost"]);
    assert_eq!((config.auth.public_publish, config.auth.public_subscribe), (vec![Path::root()], vec![Path::root()]));
}

#[test]
fn versions_that_share_a_token_offer_it_once() {
    let server = with(&["--server-version", "moq-lite-05,moq-lite-02,moq-lite-01"]).unwrap().server;

    assert_eq!(server.protocols(), ["moq-lite-05", "moql"]);
}

#[test]
fn keys_stand_in_files_and_at_addresses_and_passwords_are_not_printed() {
    let config = with(&[
        "--auth-key",
        "root.jwk,https://alice:hunter2@keys.example.com/key?x=hunter3",
        "--auth-jwks",
        "set.json,https://id.example.com/jwks",
        "--auth-url",
        "unix:/run/auth.sock",
        "--auth-contract",
        "get",
    ])
    .unwrap();

    assert_eq!(config.auth.keys.files, [PathBuf::from("root.jwk"), PathBuf::from("set.json")]);
    let fetched: Vec<_> = config.auth.fetched.iter().map(ToString::to_string).collect();
    assert_eq!(fetched, ["https://keys.example.com/key?…", "https://id.example.com/jwks"]);
    let remote = config.auth.remote.clone().unwrap();
    assert_eq!((remote.endpoint.to_string().as_str(), remote.contract), ("unix:/run/auth.sock", crate::options::Contract::Get));
    assert!(!format!("{config:?}").contains("hunter"));
    let error = with(&["--auth-url", "http://alice:hunter2@example.com/"]).unwrap_err().to_string();
    assert!(error.contains("auth.url") && !error.contains("hunter"), "{error}");
}

#[test]
fn a_server_that_decides_is_somebody_who_lets_people_in() {
    let config = settled(&["--tls-generate", "localhost", "--auth-url", "https://auth.example.com/"]).unwrap();
    assert!(config.auth.remote.is_some());

    let error = settled(&["--tls-generate", "localhost", "--auth-url", "auth.example.com"]).unwrap_err();
    assert_eq!(error.problems, [Problem::Endpoint { key: "auth.url", error: EndpointError::Malformed }]);
}

#[test]
fn what_is_asked_of_tokens_and_of_addresses_is_settled() {
    let config = with(&[
        "--auth-require-exp",
        "--auth-max-token-ttl",
        "24h",
        "--auth-audience",
        "relay",
        "--auth-issuer",
        "us",
        "--auth-fail-per-ip",
        "3/min",
        "--auth-exempt",
        "10.0.0.0/8,192.0.2.7",
    ])
    .unwrap();

    let policy = config.auth.policy;
    assert!(policy.require_expiry && policy.lifetime_max == Some(Duration::from_secs(86_400)));
    assert_eq!((policy.audience.as_deref(), policy.issuer.as_deref()), (Some("relay"), Some("us")));
    assert_eq!((config.auth.penalty.failures, config.auth.penalty.exempt.len()), (Some(3), 2));
    assert_eq!(with(&["--auth-fail-per-ip", "none"]).unwrap().auth.penalty.failures, None);
}

#[test]
fn every_example_of_the_page_on_tokens_is_a_configuration() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/auth.md")).unwrap();
    let blocks = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    // Others show parts of several tables, with dots for what is left out.
    let examples: Vec<_> = blocks.filter(|block| block.starts_with("[auth]")).collect();
    assert!(examples.len() >= 4, "{examples:?}");
    for (number, example) in examples.iter().enumerate() {
        let path = std::env::temp_dir().join(format!("moq-relay-example-{}-{number}.toml", std::process::id()));
        std::fs::write(&path, example).unwrap();
        let settled = settled(&[path.to_str().unwrap(), "--tls-generate", "localhost"]);
        std::fs::remove_file(&path).unwrap();
        settled.unwrap_or_else(|error| panic!("{example}\n{error}"));
    }
}
