//! The files of certificates, keys and authorities, as far as they are good.
//!
//! Each pair counts for itself: one that is half written, does not go together, is out of its time or gone leaves what was
//! shown before. So do authorities, all those of a listener together. When to look is `watch`'s. Blocks while it reads.

use std::{collections::BTreeSet, path::PathBuf, time::SystemTime};

use anyhow::{Context as _, anyhow};
use moq_native::tls::{Certificates, ClientRoots, PemFiles, ServerTls};

use super::{
    Counts, Pins,
    generated::{Generated, Turn},
};
use crate::{
    config::{HttpsConfig, TlsConfig},
    watch::{Changes, Look},
};

/// Looks after which files that are not as they should be are read again although nothing of them has changed: what is wrong
/// may be the time of day, or a directory above them.
const RETRY_LOOKS: u32 = 40;

/// What the listeners show and believe.
#[derive(Debug)]
pub(crate) struct Store {
    quic: Listener,
    /// `None`: it shows what QUIC shows and asks for nothing, or there is none.
    https: Option<Listener>,
    secure: Option<ServerTls>,
    pins: Pins,
    changes: Changes,
    read: Look,
    /// What is wrong, as it was told.
    wrong: Vec<String>,
    looks_since: u32,
    has_ended: bool,
}

/// What came of a look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// Files were read again, and all of them were good.
    pub(super) is_taken: bool,
    /// What is wrong with files, unless that was told before.
    pub(super) wrong: Vec<String>,
    /// What became of the generated certificate.
    pub(super) generated: Option<Turn>,
    /// A certificate that is shown has just ended, and there is none to take its place.
    pub(super) has_ended: bool,
}

impl Store {
    /// Reads and makes what is configured.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(crate) fn load(server: &TlsConfig, https: Option<&HttpsConfig>, now: SystemTime) -> anyhow::Result<Self> {
        let read = Look::at(files(server, https));
        let quic = Listener::load(&server.pairs, server.generate.clone(), &server.roots, None, now).context("[server.tls]")?;
        let own = https.filter(|https| !https.pairs.is_empty() || !https.roots.is_empty());
        let own = own.map(|https| {
            let shown = https.pairs.is_empty().then_some(&quic.tls);
            Listener::load(&https.pairs, Vec::new(), &https.roots, shown, now).context("[web.https]")
        });
        let own = own.transpose()?;
        let secure = https.map(|_| own.as_ref().map_or_else(|| quic.tls.without_client_roots(), |own| own.tls.clone()));
        let pins = Pins::of(quic.tls.clone());
        let changes = Changes::since(&read);
        Ok(Self { quic, https: own, secure, pins, changes, read, wrong: Vec::new(), looks_since: 0, has_ended: false })
    }

    /// What the QUIC listener shows and believes, now and later.
    pub(crate) fn quic(&self) -> ServerTls {
        self.quic.tls.clone()
    }

    /// The same for HTTPS. `None`: there is no such listener.
    pub(crate) fn https(&self) -> Option<ServerTls> {
        self.secure.clone()
    }

    pub(crate) fn pins(&self) -> Pins {
        self.pins.clone()
    }

    /// Looks once, reads files if it is time to or if that `is_asked`, and does what is due to the generated certificate.
    pub(super) fn look(&mut self, now: SystemTime, is_asked: bool, counts: &Counts) -> News {
        let mut news = News { generated: self.turn(now, counts), ..News::default() };

        let look = Look::at(self.listeners().flat_map(Listener::files).collect::<Vec<_>>());
        let is_due = self.changes.is_due(look.clone(), &self.read, is_asked);
        self.looks_since += 1;
        let is_retry = !self.wrong.is_empty() && self.looks_since >= RETRY_LOOKS;
        if is_due || is_retry {
            (self.read, self.looks_since) = (look, 0);
            let wrong = self.update();
            counts.read(wrong.len());
            news.is_taken = wrong.is_empty() && (is_due || !self.wrong.is_empty());
            if wrong != self.wrong {
                news.wrong.clone_from(&wrong);
            }
            self.wrong = wrong;
        }

        if let Some(expires) = self.listeners().filter_map(Listener::expires).min() {
            counts.expire_at(expires);
            news.has_ended = expires <= now && !self.has_ended;
            self.has_ended = expires <= now;
        }
        news
    }

    fn turn(&mut self, now: SystemTime, counts: &Counts) -> Option<Turn> {
        let generated = self.quic.generated.as_mut()?;
        // The names were good at the start; without randomness the next look tries again.
        let turn = generated.turn(now).ok()??;
        if turn == Turn::Replaced {
            counts.replaced();
        }
        self.pins.follow(generated.shown(), generated.next());
        self.quic.show();
        Some(turn)
    }

    /// Reads everything again. Returns what is wrong, each once; the rest is taken.
    fn update(&mut self) -> Vec<String> {
        let listeners = [Some(&mut self.quic), self.https.as_mut()].into_iter().flatten();
        listeners.flat_map(Listener::update).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn listeners(&self) -> impl Iterator<Item = &Listener> {
        [Some(&self.quic), self.https.as_ref()].into_iter().flatten()
    }
}

/// What one listener shows and believes.
#[derive(Debug)]
struct Listener {
    tls: ServerTls,
    /// Each with what it held when it was last good. Empty: another listener's are shown, or only what is generated.
    pairs: Vec<(PemFiles, Certificates)>,
    generated: Option<Generated>,
    roots: Vec<PathBuf>,
}

impl Listener {
    /// `shown`: what is shown where there is neither a file nor a name.
    fn load(
        pairs: &[PemFiles],
        names: Vec<String>,
        roots: &[PathBuf],
        shown: Option<&ServerTls>,
        now: SystemTime,
    ) -> anyhow::Result<Self> {
        let read = pairs.iter().map(|pair| Ok((pair.clone(), Certificates::load(pair)?)));
        let pairs = read.collect::<anyhow::Result<Vec<_>>>()?;
        let generated = (!names.is_empty()).then(|| Generated::new(names, now)).transpose()?;
        let tls = match (together(&pairs, generated.as_ref()), shown) {
            (Some(certificates), _) => ServerTls::from(certificates),
            (None, Some(shown)) => shown.clone(),
            (None, None) => return Err(anyhow!("no certificate is configured")),
        };
        let tls = if roots.is_empty() { tls } else { tls.with_client_roots(ClientRoots::load(roots)?) };
        Ok(Self { tls, pairs, generated, roots: roots.to_vec() })
    }

    fn update(&mut self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (files, good) in &mut self.pairs {
            match Certificates::load(files) {
                Ok(certificates) => *good = certificates,
                Err(error) => wrong.push(error.to_string()),
            }
        }
        if !self.roots.is_empty() {
            match ClientRoots::load(&self.roots) {
                Ok(roots) => self.tls.set_client_roots(roots),
                Err(error) => wrong.push(error.to_string()),
            }
        }
        self.show();
        wrong
    }

    fn show(&self) {
        if let Some(certificates) = together(&self.pairs, self.generated.as_ref()) {
            self.tls.set_certificates(certificates);
        }
    }

    /// When the first certificate that is its own ends.
    fn expires(&self) -> Option<SystemTime> {
        together(&self.pairs, self.generated.as_ref()).map(|certificates| certificates.expires())
    }

    fn files(&self) -> Vec<PathBuf> {
        paths(self.pairs.iter().map(|(files, _)| files), &self.roots)
    }
}

/// Files first: who asks for no name, or for an unknown one, is shown one that somebody vouches for.
fn together(pairs: &[(PemFiles, Certificates)], generated: Option<&Generated>) -> Option<Certificates> {
    let all = pairs.iter().map(|(_, certificates)| certificates).chain(generated.map(Generated::shown));
    all.cloned().reduce(|all, more| all.with(&more))
}

fn files(server: &TlsConfig, https: Option<&HttpsConfig>) -> Vec<PathBuf> {
    let mut files = paths(&server.pairs, &server.roots);
    files.extend(https.into_iter().flat_map(|https| paths(&https.pairs, &https.roots)));
    files
}

fn paths<'a>(pairs: impl IntoIterator<Item = &'a PemFiles>, roots: &[PathBuf]) -> Vec<PathBuf> {
    let pairs = pairs.into_iter().flat_map(|pair| [pair.certificate.clone(), pair.key.clone()]);
    pairs.chain(roots.iter().cloned()).collect()
}

#[cfg(test)]
mod tests;
