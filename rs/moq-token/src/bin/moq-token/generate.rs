//! `moq-token generate`: a new key.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, builder::PossibleValuesParser, builder::TypedValueParser};
use moq_proto::canonical;
use moq_token::{Algorithm, Key, KeyId, Scope};

use crate::{
    Outcome, Usage,
    input::{Keys, Place},
    output::{self, Spelling},
    summary,
};

/// Make a new key
///
/// With --key or --out it goes to that file, which nobody else can read, and nothing to standard output. HS256 to HS512 make one
/// secret that both signs and verifies. The others make a pair: keep the private half with whoever signs, and give relays the
/// public one.
#[derive(Args)]
pub(crate) struct Options {
    /// How tokens will be signed.
    #[arg(long, default_value = "HS256", value_parser = algorithms())]
    algorithm: Algorithm,
    /// The name of the key, which its tokens carry. Default: 16 random digits.
    #[arg(long, value_name = "ID")]
    id: Option<KeyId>,
    /// File for the key; `-` for standard output.
    #[arg(long, value_name = "PATH")]
    out: Option<Place>,
    /// Folder for the key, in a file named after its id.
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    out_dir: Option<PathBuf>,
    /// File for the public half; `-` for standard output.
    #[arg(long, value_name = "PATH")]
    public: Option<Place>,
    /// Folder for the public half, in a file named after its id.
    #[arg(long, value_name = "DIR", conflicts_with = "public")]
    public_dir: Option<PathBuf>,
    /// Where the paths of --publish and --subscribe count from.
    #[arg(long, value_name = "PATH", default_value = "", hide_default_value = true)]
    root: String,
    /// Let the key sign no more than this: below which paths its tokens may allow to publish. Empty: all. Repeatable.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    publish: Vec<String>,
    /// The same for subscribing.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    subscribe: Vec<String>,
    #[command(flatten)]
    spelling: Spelling,
    #[arg(long, hide = true, num_args = 0..)]
    guest: Option<Vec<String>>,
    #[arg(long, hide = true, num_args = 0..)]
    guest_publish: Option<Vec<String>>,
    #[arg(long, hide = true, num_args = 0..)]
    guest_subscribe: Option<Vec<String>>,
}

fn algorithms() -> impl TypedValueParser<Value = Algorithm> {
    PossibleValuesParser::new(Algorithm::ALL.map(Algorithm::name)).try_map(|name| name.parse::<Algorithm>())
}

impl Options {
    pub(crate) fn run(self, keys: Keys) -> anyhow::Result<Outcome> {
        let scope = self.scope()?;
        let id = match &self.id {
            Some(id) => id.clone(),
            None => KeyId::random()?,
        };
        let private_place = self.private_place(keys, &id)?;
        let public_place = self.public_place(&id);
        if private_place == Place::Standard && public_place == Some(Place::Standard) {
            return Err(Usage::new("both halves of the key cannot go to standard output; use --out or --public").into());
        }
        let key = Key::generate(self.algorithm, Some(id), scope).context("making the key")?;
        let public = public_place.map(|place| key.public().map(|public| (public, place)).ok_or(self.algorithm));
        let public = public.transpose().map_err(|algorithm| {
            Usage::new(format!("{algorithm} keys are one shared secret and have no public half; ES256 and EdDSA keys do"))
        })?;

        self.spelling.write(&key, &private_place)?;
        eprintln!("made {}: {}", summary::key(&key), place_of_output(&private_place));
        if let Some((public, place)) = public {
            self.spelling.write(&public, &place)?;
            eprintln!("its public half: {}", place_of_output(&place));
        }
        if self.guest.is_some() || self.guest_publish.is_some() || self.guest_subscribe.is_some() {
            eprintln!("note: --guest has no effect; what guests may do is the relay's `[auth] public`");
        }
        Ok(Outcome::Done)
    }

    fn scope(&self) -> anyhow::Result<Option<Scope>> {
        let path = |text: &String| canonical(text).with_context(|| format!("path `{text}`"));
        let root = path(&self.root)?;
        if self.publish.is_empty() && self.subscribe.is_empty() {
            if !root.is_root() {
                eprintln!("warning: --root alone does not limit the key; add --publish or --subscribe");
            }
            return Ok(None);
        }
        let paths = |texts: &[String]| texts.iter().map(path).collect::<anyhow::Result<_>>();
        Ok(Some(Scope { root, publish: paths(&self.publish)?, subscribe: paths(&self.subscribe)? }))
    }

    /// Where the key goes. A terminal is no place to leave a secret, unless asked to.
    fn private_place(&self, keys: Keys, id: &KeyId) -> Result<Place, Usage> {
        let out = match &self.out_dir {
            Some(folder) => Some(named(folder, id)),
            None => self.out.clone(),
        };
        match (keys.only()?, out) {
            (Some(_), Some(_)) => Err(Usage::new("--key already says where the key goes; leave out --out or --out-dir")),
            (Some(place), None) | (None, Some(place)) => Ok(place),
            (None, None) if output::is_watched() => {
                Err(Usage::new("the key would be shown on the terminal: --out PATH keeps it, --out - shows it"))
            }
            (None, None) => Ok(Place::Standard),
        }
    }

    fn public_place(&self, id: &KeyId) -> Option<Place> {
        self.public_dir.as_ref().map(|folder| named(folder, id)).or_else(|| self.public.clone())
    }
}

/// The file of a key with this id, as relays look for it in a folder of keys.
fn named(folder: &std::path::Path, id: &KeyId) -> Place {
    Place::File(folder.join(format!("{id}.jwk")))
}

fn place_of_output(place: &Place) -> String {
    match place {
        Place::Standard => "on standard output; mind who can read where that goes".to_owned(),
        Place::File(path) => path.display().to_string(),
    }
}
