use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use moq_native::tls::Fingerprint;
use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::auth::testing::Folder;

/// A pair of files, in a folder of its own.
struct Files {
    _folder: Folder,
    pair: PemFiles,
}

impl Files {
    fn new() -> Self {
        let folder = Folder::new();
        let pair = PemFiles { certificate: folder.0.join("cert.pem"), key: folder.0.join("key.pem") };
        Self { _folder: folder, pair }
    }

    /// Writes a good pair and returns what clients will see of it.
    fn renew(&self) -> Fingerprint {
        let (certificate, key, fingerprint) = pem();
        fs::write(&self.pair.certificate, certificate).unwrap();
        fs::write(&self.pair.key, key).unwrap();
        fingerprint
    }

    fn config(&self) -> TlsConfig {
        TlsConfig { pairs: vec![self.pair.clone()], ..TlsConfig::default() }
    }
}

fn pem() -> (String, String, Fingerprint) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["relay.test".into()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem(), Fingerprint::of(certificate.der()))
}

fn load(config: &TlsConfig) -> Store {
    Store::load(config, None, SystemTime::now()).unwrap()
}

/// Looks as often as it takes for a change to be taken.
fn look(store: &mut Store, counts: &Counts) -> News {
    let news = [(); 3].map(|()| store.look(SystemTime::now(), false, counts));
    news.into_iter().find(|news| *news != News::default()).unwrap_or_default()
}

fn shown(store: &Store) -> Fingerprint {
    store.quic().certificates().fingerprints()[0]
}

fn count(counts: &Counts, name: &str) -> u64 {
    counts.all().into_iter().find(|(known, _)| *known == name).unwrap().1
}

#[test]
fn a_renewed_pair_is_shown() {
    let files = Files::new();
    let (old, counts) = (files.renew(), Counts::default());
    let mut store = load(&files.config());
    assert_eq!((look(&mut store, &counts), shown(&store)), (News::default(), old));

    let new = files.renew();

    assert!(look(&mut store, &counts).is_taken);
    assert_eq!((shown(&store), count(&counts, "moq_relay_certificates_taken_total")), (new, 1));
    assert!(count(&counts, "moq_relay_certificate_expires_seconds") > 0);
}

/// A certificate that ended an hour ago, and its key.
fn ended() -> (String, String) {
    let mut params = CertificateParams::new(vec!["relay.test".into()]).unwrap();
    let hours = |hours: u64| SystemTime::now() - Duration::from_secs(hours * 3600);
    (params.not_before, params.not_after) = (hours(2).into(), hours(1).into());
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// How files are spoiled, and what is said of them.
type Row = (fn(&Path, &Path), &'static str);

const SPOILT: [Row; 8] = [
    (|certificate, _| fs::write(certificate, &pem().0[..200]).unwrap(), "cert.pem is not whole"),
    (|certificate, _| fs::write(certificate, "").unwrap(), "cert.pem holds no certificate"),
    (|certificate, _| fs::write(certificate, pem().0).unwrap(), "do not go together"),
    (|certificate, _| fs::remove_file(certificate).unwrap(), "cert.pem: No such file"),
    (|_, key| fs::write(key, pem().1).unwrap(), "do not go together"),
    (|_, key| fs::write(key, "").unwrap(), "key.pem holds no private key"),
    (|_, key| fs::write(key, &pem().1[..100]).unwrap(), "key.pem is not whole"),
    (
        |certificate, key| {
            let ended = ended();
            fs::write(certificate, ended.0).unwrap();
            fs::write(key, ended.1).unwrap();
        },
        "cert.pem cannot be used: it has ended on",
    ),
];

#[test]
fn what_is_not_good_changes_nothing_and_is_told_once_with_its_file() {
    for (spoil, said) in SPOILT {
        let (files, counts) = (Files::new(), Counts::default());
        let good = files.renew();
        let mut store = load(&files.config());

        spoil(&files.pair.certificate, &files.pair.key);

        let news = look(&mut store, &counts);
        assert_eq!((shown(&store), news.is_taken), (good, false), "{said}");
        assert!(news.wrong.len() == 1 && news.wrong[0].contains(said), "{said}: {:?}", news.wrong);
        assert_eq!(count(&counts, "moq_relay_certificates_bad"), 1, "{said}");
        assert_eq!(look(&mut store, &counts), News::default(), "{said}: told twice");

        let new = files.renew();
        assert!(look(&mut store, &counts).is_taken, "{said}");
        assert_eq!((shown(&store), count(&counts, "moq_relay_certificates_bad")), (new, 0), "{said}");
    }
}

#[test]
fn each_pair_counts_for_itself() {
    let (broken, fine, counts) = (Files::new(), Files::new(), Counts::default());
    let kept = broken.renew();
    fine.renew();
    let pairs = vec![broken.pair.clone(), fine.pair.clone()];
    let mut store = load(&TlsConfig { pairs, ..TlsConfig::default() });

    fs::remove_file(&broken.pair.key).unwrap();
    let renewed = fine.renew();

    assert_eq!(look(&mut store, &counts).wrong.len(), 1);
    assert_eq!(store.quic().certificates().fingerprints(), [kept, renewed]);
}

#[test]
fn a_link_that_is_turned_is_a_change() {
    let (folder, counts) = (Folder::new(), Counts::default());
    let files = ["one", "two"].map(|version| {
        let (certificate, key, fingerprint) = pem();
        fs::create_dir(folder.0.join(version)).unwrap();
        folder.write(&format!("{version}/cert.pem"), &certificate);
        folder.write(&format!("{version}/key.pem"), &key);
        fingerprint
    });
    let turn = |version: &str| {
        std::os::unix::fs::symlink(version, folder.0.join("next")).unwrap();
        fs::rename(folder.0.join("next"), folder.0.join("live")).unwrap();
    };
    turn("one");
    let pair = PemFiles { certificate: folder.0.join("live/cert.pem"), key: folder.0.join("live/key.pem") };
    let mut store = load(&TlsConfig { pairs: vec![pair], ..TlsConfig::default() });
    assert_eq!(shown(&store), files[0]);

    turn("two");

    assert!(look(&mut store, &counts).is_taken);
    assert_eq!(shown(&store), files[1]);
}

#[test]
fn what_was_wrong_with_the_world_rather_than_with_the_files_is_tried_again() {
    let (files, counts) = (Files::new(), Counts::default());
    files.renew();
    let mut store = load(&files.config());
    // As if an earlier look had found it early, which only the time of day puts right.
    store.wrong = vec!["it begins only tomorrow".into()];

    let looks = (1..).find(|_| store.look(SystemTime::now(), false, &counts).is_taken);

    assert_eq!(looks, Some(RETRY_LOOKS));
    assert_eq!(store.wrong, [""; 0]);
}

#[test]
fn asking_reads_at_once() {
    let (files, counts) = (Files::new(), Counts::default());
    files.renew();
    let mut store = load(&files.config());
    let new = files.renew();

    assert!(store.look(SystemTime::now(), true, &counts).is_taken);
    assert_eq!(shown(&store), new);
}

#[test]
fn generated_certificates_stand_beside_files_and_are_renewed() {
    let (files, counts) = (Files::new(), Counts::default());
    let of_file = files.renew();
    let config = TlsConfig { generate: vec!["localhost".into()], ..files.config() };
    let (mut store, start) = (load(&config), SystemTime::now());
    let (tls, pins) = (store.quic(), store.pins());
    let generated = pins.shown(Some("localhost")).unwrap();
    assert_eq!(tls.certificates().fingerprints(), [of_file, generated]);
    assert_eq!(pins.shown(Some("relay.test")), Some(of_file));

    let ends = tls.certificates().expires();
    assert!(ends < start + Duration::from_secs(14 * 24 * 3600));
    assert_eq!(store.look(ends - Duration::from_secs(3600), false, &counts).generated, Some(Turn::Prepared));
    let both = pins.all(Some("localhost"));
    assert_eq!((both.len(), both[0], tls.certificates().fingerprints()[1]), (2, generated, generated));
    assert_eq!(pins.all(Some("relay.test")), [of_file]);

    assert_eq!(store.look(ends, false, &counts).generated, Some(Turn::Replaced));
    assert_eq!(pins.all(Some("localhost")), [both[1]]);
    assert_eq!(tls.certificates().fingerprints(), [of_file, both[1]]);
    assert_eq!(count(&counts, "moq_relay_certificates_replaced_total"), 1);
}

#[test]
fn https_shows_its_own_or_what_quic_shows() {
    let (quic, web, counts) = (Files::new(), Files::new(), Counts::default());
    let (of_quic, of_web) = (quic.renew(), web.renew());
    let https = |pairs| HttpsConfig { listen: "[::]:443".parse().unwrap(), pairs, roots: Vec::new() };
    let shown = |store: &Store| store.https().unwrap().certificates().fingerprints();
    let mut own = Store::load(&quic.config(), Some(&https(vec![web.pair.clone()])), SystemTime::now()).unwrap();
    let mut same = Store::load(&quic.config(), Some(&https(vec![])), SystemTime::now()).unwrap();
    assert_eq!((shown(&own), shown(&same)), (vec![of_web], vec![of_quic]));

    let (of_quic, of_web) = (quic.renew(), web.renew());

    assert!(look(&mut own, &counts).is_taken && look(&mut same, &counts).is_taken);
    assert_eq!((shown(&own), shown(&same)), (vec![of_web], vec![of_quic]));
}

#[test]
fn a_certificate_that_ends_unrenewed_is_told_once() {
    let (files, counts) = (Files::new(), Counts::default());
    files.renew();
    let mut store = load(&files.config());
    let ends = store.quic().certificates().expires();

    let told = [(); 3].map(|()| store.look(ends, false, &counts).has_ended);

    assert_eq!(told, [true, false, false]);
}
