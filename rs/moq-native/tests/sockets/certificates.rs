//! Certificates of clients, over every transport that has TLS.

use std::{
    future::pending,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use moq_native::{
    Client, ConnectError, Incoming, Server, ServerConfig,
    tls::{Certificates, ClientRoots, Identity, PemFiles, ServerTls, Trust},
};
use rcgen::{CertificateParams, DnType, Issuer, KeyPair, SanType};

use crate::pair::*;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// An authority, and what it signs, in files of one test's own.
struct Authority {
    files: Directory,
    issuer: Issuer<'static, KeyPair>,
    root: PathBuf,
}

impl Authority {
    fn new(test: &str) -> Self {
        let files = Directory::new();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, test);
        let root = files.0.join("root.pem");
        std::fs::write(&root, params.self_signed(&key).unwrap().pem()).unwrap();
        Self { files, issuer: Issuer::new(params, key), root }
    }

    fn roots(&self) -> ClientRoots {
        ClientRoots::load(std::slice::from_ref(&self.root)).unwrap()
    }

    fn identity(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let pair = PemFiles { certificate: self.files.0.join("client.pem"), key: self.files.0.join("client.key") };
        std::fs::write(&pair.certificate, params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        std::fs::write(&pair.key, key.serialize_pem()).unwrap();
        Identity::load(&pair).unwrap()
    }
}

/// What a certificate says that is good for an hour.
fn params(names: impl IntoIterator<Item = SanType>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names.into_iter().collect();
    params.distinguished_name.push(DnType::CommonName, "common");
    params.not_before = (SystemTime::now() - HOUR).into();
    params.not_after = (SystemTime::now() + HOUR).into();
    params
}

fn server(roots: Option<ClientRoots>) -> (Server, ServerTls) {
    let tls = ServerTls::from(Certificates::generate(&["localhost"]).unwrap());
    let tls = roots.map_or(tls.clone(), |roots| tls.with_client_roots(roots));
    let config = ServerConfig::new("127.0.0.1:0".parse().unwrap(), tls.clone());
    (Server::bind(config).unwrap(), tls)
}

fn client(server: &Server, identity: Option<Identity>) -> Client {
    let mut config = client_config(Trust::Fingerprints(server.fingerprints()));
    config.identity = identity;
    Client::new(config).unwrap()
}

/// What the server sees of a client that dials.
async fn meet(server: &mut Server, client: &Client, scheme: &str) -> Incoming {
    let url = url(scheme, server.local_addr(), "/");
    let dial = async {
        let _connected = client.connect(&url).await;
        pending().await
    };
    soon(async {
        tokio::select! {
            () = dial => unreachable!(),
            incoming = arrive(server) => incoming,
        }
    })
    .await
}

async fn is_refused(server: &mut Server, client: &Client, scheme: &str) -> bool {
    let url = url(scheme, server.local_addr(), "/");
    let story = async {
        // In TLS 1.3 a client takes itself for connected before the server has looked at its certificate.
        match client.connect(&url).await {
            Err(ConnectError::Quic(_) | ConnectError::WebTransport(_)) => {}
            Ok(mut connection) => drop(closed(&mut connection).await),
            Err(other) => panic!("{other}"),
        }
    };
    soon(async {
        tokio::select! {
            () = story => true,
            _ = arrive(server) => false,
        }
    })
    .await
}

#[tokio::test]
async fn a_server_learns_who_its_client_is() {
    let authority = Authority::new("learns");
    let (mut server, _) = server(Some(authority.roots()));
    let sans = [
        SanType::DnsName("Cam-1.Example.com".try_into().unwrap()),
        SanType::URI("spiffe://example.com/Cam".try_into().unwrap()),
        SanType::Rfc822Name("cam@example.com".try_into().unwrap()),
        SanType::IpAddress([127, 0, 0, 1].into()),
    ];
    let params = params(sans);
    let ends: SystemTime = params.not_after.into();
    let client = client(&server, Some(authority.identity(params)));

    for scheme in ["https", "moqt"] {
        let incoming = meet(&mut server, &client, scheme).await;
        let certificate = incoming.certificate().expect(scheme);
        assert_eq!(certificate.names(), ["cam-1.example.com", "spiffe://example.com/Cam", "cam@example.com"]);
        assert!(ends.duration_since(certificate.not_after()).unwrap() < Duration::from_secs(1));
        assert!(certificate.is_good(SystemTime::now()));
        assert!(!certificate.is_good(ends));
    }
}

#[tokio::test]
async fn the_subject_counts_where_there_are_no_other_names() {
    let authority = Authority::new("subject");
    let (mut server, _) = server(Some(authority.roots()));
    let rows = [(vec![], vec!["common"]), (vec![SanType::IpAddress([127, 0, 0, 1].into())], vec![])];
    for (sans, names) in rows {
        let client = client(&server, Some(authority.identity(params(sans))));
        assert_eq!(meet(&mut server, &client, "moqt").await.certificate().unwrap().names(), names);
    }
}

#[tokio::test]
async fn a_certificate_may_be_left_out_and_is_not_asked_for_without_roots() {
    let authority = Authority::new("without");
    let (mut asking, _) = server(Some(authority.roots()));
    let nobody = client(&asking, None);
    assert!(meet(&mut asking, &nobody, "https").await.certificate().is_none());

    let (mut indifferent, _) = server(None);
    let somebody = client(&indifferent, Some(authority.identity(params([]))));
    assert!(meet(&mut indifferent, &somebody, "https").await.certificate().is_none());
}

#[tokio::test]
async fn whom_nobody_here_vouches_for_is_refused() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let (mut server, _) = server(Some(ours.roots()));
    let stranger = client(&server, Some(theirs.identity(params([]))));

    for scheme in ["https", "moqt"] {
        assert!(is_refused(&mut server, &stranger, scheme).await, "{scheme}");
    }
}

#[tokio::test]
async fn authorities_change_without_a_restart_and_nobody_slips_through_on_a_ticket() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let (mut server, tls) = server(Some(old.roots()));
    let [of_old, of_new] = [&old, &new].map(|authority| client(&server, Some(authority.identity(params([])))));
    let incoming = meet(&mut server, &of_old, "moqt").await;
    let certificate = incoming.certificate().unwrap().clone();

    tls.set_client_roots(new.roots());

    assert!(!certificate.is_good(SystemTime::now()));
    assert!(is_refused(&mut server, &of_old, "moqt").await);
    assert!(meet(&mut server, &of_new, "moqt").await.certificate().is_some());
}
