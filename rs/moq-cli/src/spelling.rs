//! Spelling: how frames stand on standard input and output, one after another.
//!
//! | spelling | a frame is |
//! |---|---|
//! | lines | a line, without its `\n` |
//! | length | four bytes that say its length, most significant first, and its bytes |
//! | raw | so many bytes on the way in, the last one fewer; its bytes alone on the way out |

use std::io::{self, BufRead, Read as _};

use bytes::{Bytes, BytesMut};
use clap::ValueEnum;
use moq_lite::model::subgroup::FRAME_BYTES_MAX;

/// How frames are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Spelling {
    /// A frame is a line, without its end.
    Lines,
    /// Four bytes before each frame say its length, most significant first.
    Length,
    /// Bytes and nothing else.
    Raw,
}

/// Why there is no next frame.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("reading standard input: {0}")]
    Io(#[from] io::Error),
    #[error("a frame of {size} bytes or more, at most {FRAME_BYTES_MAX} accepted")]
    TooLarge { size: u64 },
    #[error("the input ends inside a frame")]
    Truncated,
}

/// Reads frames.
#[derive(Debug)]
pub(crate) struct Frames<R> {
    reader: R,
    spelling: Spelling,
    /// Bytes of a raw frame.
    size: u64,
}

impl<R: BufRead> Frames<R> {
    /// `size`: bytes of a frame, where nothing else says it.
    pub(crate) fn new(reader: R, spelling: Spelling, size: u64) -> Self {
        Self { reader, spelling, size }
    }

    fn line(&mut self) -> Result<Option<Bytes>, FrameError> {
        let mut line = Vec::new();
        (&mut self.reader).take(FRAME_BYTES_MAX + 2).read_until(b'\n', &mut line)?;
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.is_empty() {
            return Ok(None);
        }
        if line.len() as u64 > FRAME_BYTES_MAX {
            return Err(FrameError::TooLarge { size: FRAME_BYTES_MAX + 1 });
        }
        Ok(Some(line.into()))
    }

    fn prefixed(&mut self) -> Result<Option<Bytes>, FrameError> {
        let head = self.up_to(4)?;
        if head.is_empty() {
            return Ok(None);
        }
        let head: [u8; 4] = head[..].try_into().map_err(|_| FrameError::Truncated)?;
        let size = u64::from(u32::from_be_bytes(head));
        if size > FRAME_BYTES_MAX {
            return Err(FrameError::TooLarge { size });
        }
        let frame = self.up_to(size)?;
        if (frame.len() as u64) < size { Err(FrameError::Truncated) } else { Ok(Some(frame)) }
    }

    /// So many bytes, fewer only where the input ends.
    fn up_to(&mut self, size: u64) -> Result<Bytes, FrameError> {
        let mut bytes = Vec::new();
        (&mut self.reader).take(size).read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }
}

impl<R: BufRead> Iterator for Frames<R> {
    type Item = Result<Bytes, FrameError>;

    /// The next frame, once all of it was read. `None`: the input has ended.
    fn next(&mut self) -> Option<Self::Item> {
        match self.spelling {
            Spelling::Lines => self.line(),
            Spelling::Length => self.prefixed(),
            Spelling::Raw => self.up_to(self.size).map(|frame| (!frame.is_empty()).then_some(frame)),
        }
        .transpose()
    }
}

impl Spelling {
    /// A frame as it is written out. Frames that arrived are no longer than a length can say.
    pub(crate) fn spell(self, frame: Bytes) -> Bytes {
        if self == Self::Raw {
            return frame;
        }
        let mut spelled = BytesMut::with_capacity(frame.len() + 4);
        if self == Self::Length {
            spelled.extend_from_slice(&(frame.len() as u32).to_be_bytes());
        }
        spelled.extend_from_slice(&frame);
        if self == Self::Lines {
            spelled.extend_from_slice(b"\n");
        }
        spelled.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(input: &[u8], spelling: Spelling) -> Vec<Bytes> {
        Frames::new(input, spelling, 3).collect::<Result<_, _>>().unwrap()
    }

    fn error(input: &[u8], spelling: Spelling) -> FrameError {
        Frames::new(input, spelling, 3).find_map(Result::err).unwrap()
    }

    #[test]
    fn a_frame_has_three_spellings() {
        for (input, spelling, expected) in [
            (&b"one\n\ntwo\n"[..], Spelling::Lines, vec!["one", "", "two"]),
            (b"one\ntwo", Spelling::Lines, vec!["one", "two"]),
            (b"\0\0\0\x03one\0\0\0\0\0\0\0\x02\n!", Spelling::Length, vec!["one", "", "\n!"]),
            (b"one\ntw", Spelling::Raw, vec!["one", "\ntw"]),
            (b"onet", Spelling::Raw, vec!["one", "t"]),
            (b"", Spelling::Lines, vec![]),
            (b"", Spelling::Length, vec![]),
            (b"", Spelling::Raw, vec![]),
        ] {
            assert_eq!(frames(input, spelling), expected, "{spelling:?}");
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let input = b"\0\xff\r\nsome bytes\n\n";
        for spelling in [Spelling::Lines, Spelling::Length, Spelling::Raw] {
            let first: Vec<Bytes> = if spelling == Spelling::Length {
                vec![Bytes::from_static(input), Bytes::new()]
            } else {
                frames(input, spelling)
            };
            let written: Vec<u8> = first.iter().flat_map(|frame| spelling.spell(frame.clone())).collect();
            assert_eq!(frames(&written, spelling), first, "{spelling:?}");
        }
    }

    #[test]
    fn a_frame_that_is_cut_off_is_told_from_an_end() {
        for input in [&b"\0\0"[..], b"\0\0\0\x04one"] {
            assert!(matches!(error(input, Spelling::Length), FrameError::Truncated), "{input:?}");
        }
    }

    #[test]
    fn nobody_makes_us_keep_a_frame_without_end() {
        assert!(matches!(error(b"\xff\xff\xff\xff", Spelling::Length), FrameError::TooLarge { size: 0xffff_ffff }));
        let endless = io::BufReader::new(io::repeat(b'x'));
        assert!(matches!(Frames::new(endless, Spelling::Lines, 0).next(), Some(Err(FrameError::TooLarge { .. }))));
    }
}
