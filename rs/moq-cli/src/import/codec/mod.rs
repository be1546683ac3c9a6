//! Codecs, as far as a catalog has to name them: from the configuration record of a container ([`record`]), or, where there is
//! none, from a key frame ([`key`]).
//!
//! Names are those of the WebCodecs codec registry, which asks for RFC 6381 and for what each codec's own text makes of that.

mod bits;
pub(super) mod key;
pub(super) mod record;
