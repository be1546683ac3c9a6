//! Source: the input, read exactly as far as it is asked for, so that no frame waits for the one after it. It knows at which byte
//! it is, so that whatever is wrong can be told with its place.

use std::io::{self, Read};

use bytes::Bytes;

/// What is wrong with the input, and where.
#[derive(Debug, thiserror::Error)]
#[error("standard input, byte {at}: {fault}")]
pub(super) struct InputError {
    /// Bytes before it.
    pub(super) at: u64,
    pub(super) fault: Fault,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("reading: {0}")]
    Io(#[from] io::Error),
    #[error("the input is empty; did the program before it say why?")]
    Empty,
    #[error("the input ends inside {0}")]
    Truncated(&'static str),
    #[error("{what} of {size} bytes, at most {max} accepted")]
    TooLarge { what: &'static str, size: u64, max: u64 },
    #[error("more than {max} {what}")]
    TooMany { what: &'static str, max: usize },
    #[error("{0}; is the input damaged?")]
    Malformed(&'static str),
    /// What is whole and cannot be published.
    #[error("{what}; {instead}")]
    Refused { what: String, instead: &'static str },
}

impl Fault {
    /// At this byte.
    pub(super) fn at(self, at: u64) -> InputError {
        InputError { at, fault: self }
    }
}

/// The input.
#[derive(Debug)]
pub(super) struct Source<R> {
    reader: R,
    offset: u64,
}

impl<R: Read> Source<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, offset: 0 }
    }

    /// Bytes read so far.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next `N` bytes, which begin `what`. `None`: the input has ended before.
    pub(super) fn head<const N: usize>(&mut self, what: &'static str) -> Result<Option<[u8; N]>, InputError> {
        let at = self.offset;
        let bytes = self.up_to(N as u64)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        bytes[..].try_into().map(Some).map_err(|_| Fault::Truncated(what).at(at))
    }

    /// The next `size` bytes, which are in `what`. Memory is taken as they come, whatever size is claimed.
    pub(super) fn bytes(&mut self, size: u64, max: u64, what: &'static str) -> Result<Bytes, InputError> {
        let at = self.offset;
        if size > max {
            return Err(Fault::TooLarge { what, size, max }.at(at));
        }
        let bytes = self.up_to(size)?;
        if (bytes.len() as u64) < size { Err(Fault::Truncated(what).at(at)) } else { Ok(bytes.into()) }
    }

    /// Leaves out `size` bytes.
    pub(super) fn skip(&mut self, size: u64, what: &'static str) -> Result<(), InputError> {
        let at = self.offset;
        let skipped = io::copy(&mut (&mut self.reader).take(size), &mut io::sink()).map_err(|error| Fault::from(error).at(at))?;
        self.offset += skipped;
        if skipped < size { Err(Fault::Truncated(what).at(at)) } else { Ok(()) }
    }

    /// So many bytes, fewer only where the input ends.
    fn up_to(&mut self, size: u64) -> Result<Vec<u8>, InputError> {
        let mut bytes = Vec::new();
        (&mut self.reader).take(size).read_to_end(&mut bytes).map_err(|error| Fault::from(error).at(self.offset))?;
        self.offset += bytes.len() as u64;
        Ok(bytes)
    }
}

/// A part of the input that is in memory, read field by field, most significant byte first.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    bytes: Bytes,
    /// Where in the input it begins.
    at: u64,
}

impl Slice {
    /// `bytes` begin at byte `at` of the input.
    pub(super) fn new(bytes: Bytes, at: u64) -> Self {
        Self { bytes, at }
    }

    /// Where in the input it is.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What is left.
    pub(super) fn rest(self) -> Bytes {
        self.bytes
    }

    /// The next `size` bytes.
    pub(super) fn take(&mut self, size: u64) -> Result<Slice, InputError> {
        let taken = usize::try_from(size).ok().filter(|size| *size <= self.bytes.len());
        let taken = taken.ok_or_else(|| self.fault("a field is longer than what holds it"))?;
        let slice = Self { bytes: self.bytes.split_to(taken), at: self.at };
        self.at += size;
        Ok(slice)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], InputError> {
        let slice = self.take(N as u64)?;
        slice.bytes[..].try_into().map_err(|_| slice.fault("a field is cut off"))
    }

    pub(super) fn skip(&mut self, size: u64) -> Result<(), InputError> {
        self.take(size).map(drop)
    }

    pub(super) fn u8(&mut self) -> Result<u8, InputError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, InputError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u24(&mut self) -> Result<u32, InputError> {
        self.array().map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    pub(super) fn u32(&mut self) -> Result<u32, InputError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, InputError> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn f64(&mut self) -> Result<f64, InputError> {
        self.array().map(f64::from_be_bytes)
    }

    /// That this is no such thing, here.
    pub(super) fn fault(&self, why: &'static str) -> InputError {
        Fault::Malformed(why).at(self.at)
    }
}
