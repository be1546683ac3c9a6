use std::time::Duration;

use moq_proto::Version;

use super::*;
use crate::options::{AuthOptions, Capacity, Format, Level};

fn parsed(text: &str) -> Options {
    parse(Path::new("relay.toml"), text).unwrap_or_else(|fault| panic!("{fault}"))
}

fn refused(text: &str) -> Box<Fault> {
    parse(Path::new("relay.toml"), text).expect_err(text)
}

#[test]
fn every_table_of_the_file_arrives() {
    let options = parsed(
        r#"
        [log]
        level = "debug"
        format = "json"

        [server]
        bind = "[::]:4443"
        setup_timeout = "2s"
        version = ["moq-lite-05", "moq-lite-04"]
        tls.cert = ["a.pem", "b.pem"]
        tls.key = ["a.key", "b.key"]

        [server.quic]
        max_streams = 64
        receive_window = 8388608
        idle_timeout = "10s"
        keep_alive = "0s"

        [web]
        ws = false
        header_timeout = "1s"

        [web.http]
        listen = "localhost:4443"

        [auth]
        key = "root.jwk"
        keys = ["v1.jwk", "v2.jwk"]
        key_dir = "keys"
        revoked = "revoked"
        public = { subscribe = "", publish = ["in", "guest/in"] }

        [cache]
        capacity = "50%"
        per_broadcast = 1048576
        min_age = "1s"
        duration = "10s"
        linger = "5s"
        "#,
    );

    assert_eq!((options.log.level, options.log.format), (Some(Level::Debug), Some(Format::Json)));
    assert_eq!(options.server.bind, Some("[::]:4443".parse().unwrap()));
    assert_eq!(options.server.setup_timeout, Some(Duration::from_secs(2)));
    assert_eq!(options.server.version, Some(vec![Version::Lite05, Version::Lite04]));
    assert_eq!(options.server.tls.cert.unwrap().len(), 2);
    assert_eq!(options.server.quic.receive_window, Some(8 << 20));
    assert_eq!(options.server.quic.keep_alive, Some(Duration::ZERO));
    assert_eq!(options.web.ws, Some(false));
    assert_eq!(options.web.http.listen, Some("localhost:4443".parse().unwrap()));
    let AuthOptions { key, keys, key_dir, revoked, public, .. } = options.auth;
    let files = |names: &[&str]| Some(names.iter().map(PathBuf::from).collect::<Vec<_>>());
    let written = |texts: &[&str]| Some(texts.iter().map(|text| crate::secret::Secret::new(*text)).collect::<Vec<_>>());
    assert_eq!((key, keys), (written(&["root.jwk"]), written(&["v1.jwk", "v2.jwk"])));
    assert_eq!((key_dir, revoked), (files(&["keys"]), Some("revoked".into())));
    assert_eq!(public.subscribe.unwrap(), ["".parse().unwrap()]);
    assert_eq!(public.publish.unwrap(), ["in".parse().unwrap(), "guest/in".parse().unwrap()]);
    assert_eq!(options.cache.capacity, Some(Capacity::Percent(50)));
    assert_eq!(options.cache.per_broadcast, Some(Capacity::Bytes(1 << 20)));
    assert_eq!(options.cache.max_age, Some(Duration::from_secs(10)));
}

#[test]
fn one_string_stands_for_a_list_of_one() {
    let options =
        parsed("[server.tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\ngenerate = \"localhost\"\n[auth]\npublic = \"demo\"");

    assert_eq!(options.server.tls.cert.unwrap(), [PathBuf::from("cert.pem")]);
    assert_eq!(options.server.tls.generate.unwrap(), ["localhost"]);
    assert_eq!(options.auth.public.both.unwrap(), ["demo".parse().unwrap()]);
}

#[test]
fn older_spellings_of_keys_mean_the_same() {
    let options = parsed("[ server ]\nlisten = \"[::]:4443\"\n[server.quic]\nmax_concurrent_streams = 10000");

    assert_eq!(options.server.bind, Some("[::]:4443".parse().unwrap()));
    assert_eq!(options.server.quic.max_streams, Some(10_000));
}

#[test]
fn an_empty_file_says_nothing() {
    assert!(!parsed("").auth.public.is_set());
    assert!(parsed("# only a remark\n").server.bind.is_none());
}

/// What is wrong, at which line and column, with which key, and what the error has to say about it.
type Row = (&'static str, (usize, usize), Option<&'static str>, &'static [&'static str]);

const FAULTS: &[Row] = &[
    ("[server]\nbnd = \"[::]:1\"", (2, 1), Some("server.bnd"), &["no such key", "did you mean `server.bind`?"]),
    ("[serve]\nbind = \"[::]:1\"", (1, 2), Some("serve"), &["no such key", "the tables are `log`, `server`"]),
    ("[server]\n\n  colour = 3", (3, 3), Some("server.colour"), &["[server] knows `bind`, `setup_timeout`"]),
    ("[web]\nlisten = \"[::]:1\"", (2, 1), Some("web.listen"), &["did you mean `web.http.listen`?"]),
    ("[server]\ntls.generat = \"a\"", (2, 5), Some("server.tls.generat"), &["did you mean `server.tls.generate`?"]),
    ("[auth]\npublic = { read = \"\" }", (2, 12), Some("auth.public.read"), &["[auth.public] knows `publish`, `subscribe`"]),
    ("[server]\nbind = 4443", (2, 8), Some("server.bind"), &["integer `4443`, expected a string", "UDP address for QUIC"]),
    ("[server]\nbind = \"4443\"", (2, 8), Some("server.bind"), &["`4443`: not an address with a port", "[::]:4443"]),
    ("[server]\nlisten = true", (2, 10), Some("server.bind"), &["boolean `true`, expected a string"]),
    ("[server]\nbind = \"[::]:1\"\nlisten = \"[::]:1\"", (3, 1), Some("server.listen"), &["same as `server.bind`", "keep one"]),
    ("[server]\nsetup_timeout = 10", (2, 17), Some("server.setup_timeout"), &["integer `10`, expected a duration", "\"10s\""]),
    ("[server]\nsetup_timeout = \"10\"", (2, 17), Some("server.setup_timeout"), &["`10` is no duration", "\"10s\""]),
    ("[server]\nversion = [\"moq-lite-05\", \"moq-heavy-01\"]", (2, 27), Some("server.version"), &["moq-heavy-01"]),
    ("[server.tls]\ncert = [\"a\", 1]", (2, 14), Some("server.tls.cert"), &["integer `1`, expected a string"]),
    ("[server.tls]\ngenerate = 1", (2, 12), Some("server.tls.generate"), &["expected a string or a list of strings"]),
    ("server = \"[::]:1\"", (1, 10), Some("server"), &["is a table, and this is a string", "[server] on a line of its own"]),
    ("[[server]]\nbind = \"[::]:1\"", (1, 1), Some("server"), &["is a table, and this is an array"]),
    ("[log]\nlevel = \"verbose\"", (2, 9), Some("log.level"), &["unknown variant `verbose`", "`trace`, `debug`"]),
    ("[web]\nws = \"yes\"", (2, 6), Some("web.ws"), &["string \"yes\", expected a boolean"]),
    ("[web]\nmax_connections = -1", (2, 19), Some("web.max_connections"), &["integer `-1`"]),
    ("[auth]\npublic = 1", (2, 10), Some("auth.public"), &["expected a path, a list of paths, or a table"]),
    ("[auth]\npublic = { publish = 7 }", (2, 22), Some("auth.public.publish"), &["integer `7`, expected a string or a list"]),
    ("[cache]\ncapacity = \"lots\"", (2, 12), Some("cache.capacity"), &["`lots`: not a size", "512MiB"]),
    ("[server\nbind = 1", (1, 8), None, &["this is no TOML"]),
    ("[server]\nbind = [::]:4443", (2, 12), None, &["this is no TOML"]),
    ("[log]\nlevel = \"info\"\nlevel = \"debug\"", (3, 1), None, &["duplicate key"]),
];

#[test]
fn a_fault_names_file_line_and_key_and_what_to_do() {
    for (text, place, key, said) in FAULTS {
        let fault = refused(text);
        assert_eq!((fault.line, fault.column), *place, "{text}\n{fault}");
        assert_eq!(fault.key.as_deref(), *key, "{text}\n{fault}");
        let shown = fault.to_string();
        assert!(shown.starts_with(&format!("relay.toml:{}:{}: ", place.0, place.1)), "{shown}");
        for part in *said {
            assert!(shown.contains(part), "{text}\nsays\n{shown}\nand not {part}");
        }
    }
}

#[test]
fn a_fault_shows_the_line() {
    let fault = refused("# where\n[server]\nbnd = \"[::]:443\"  # here");

    assert_eq!(
        fault.to_string(),
        "relay.toml:3:1: `server.bnd`: there is no such key\n \
         3 | bnd = \"[::]:443\"  # here\n   \
           | ^^^\n   \
           = did you mean `server.bind`?"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = read(Path::new("/nonexistent/relay.toml")).unwrap_err().to_string();

    assert!(error.starts_with("cannot read /nonexistent/relay.toml: "), "{error}");
}

#[test]
fn a_password_in_a_line_that_is_wrong_is_not_shown() {
    for line in ["jwks = 'https://alice:hunter2@example.com/' x", "jwkz = \"https://alice:hunter2@example.com/\""] {
        let told = refused(&format!("[auth]\n{line}\n")).to_string();
        assert!(told.contains("https://*************@example.com/") && !told.contains("hunter"), "{told}");
    }
}
